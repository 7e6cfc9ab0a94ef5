"""One chain, without pytest: its iterations, its strategies and its verdict."""
