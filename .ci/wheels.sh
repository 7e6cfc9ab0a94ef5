#!/usr/bin/env bash
# Build the wheels of all distributions, install them in a fresh environment, and pass a small soak
# with each, without the repository. Arguments: uv, the Python to use, and an empty folder.
set -euo pipefail
uv="$1" python="$2" work="$3"

for distribution in . plugins/pytest-soak-market plugins/pytest-soak-optuna; do
  "$uv" build -q --wheel --out-dir "$work/dist" "$distribution"
done
for wheel in "$work"/dist/*.whl; do
  files=$("$python" -m zipfile -l "$wheel")
  grep -q /py.typed <<<"$files"
  grep -q /LICENSE <<<"$files"
done
"$uv" venv -q -p "$python" "$work/venv"
"$uv" pip install -q -p "$work/venv/bin/python" "$work"/dist/*.whl

mkdir "$work/project"
cd "$work/project"
unset PYTHONPATH
cat >test_it.py <<'PYTHON'
import pytest_soak

def test_it(mock_soak):
    assert "site-packages" in pytest_soak.__file__
    assert mock_soak.run().report is not None
PYTHON
touch pytest.ini
soak() {
  "$work/venv/bin/pytest" -q -W error --soak-iterations=8 --auto-tune --soak-dir="$1" "${@:2}"
  "$work/venv/bin/pytest-soak" verify --soak-dir="$1"
}
soak core
soak market --soak-pack=market-maker
soak optuna --soak-tuner=optuna --soak-optuna-storage=trials
test -s trials
