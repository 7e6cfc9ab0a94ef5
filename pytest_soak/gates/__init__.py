"""Gates: how iterations are judged, and the criteria of KPIs."""
