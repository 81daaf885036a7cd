"""MLflow: runs written, read back and promoted."""
