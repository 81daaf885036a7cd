"""`make drill` in its short form: outages and a death, and every point arrives once."""

import time

import pytest

from tests.support.delivery_drill import drill
from tests.support.servers import Server


@pytest.mark.slow
def test_the_server_and_the_training_are_killed(migrated, tmp_path):
    """Nothing is lost and nothing duplicated, as the processes' own words, the journals and MLflow agree."""
    (tmp_path / "mlflow.db").write_bytes(migrated)
    with Server(f"sqlite:///{tmp_path}/mlflow.db", tmp_path / "artifacts") as server:

        def outage():
            server.kill()
            time.sleep(0.5)
            server.start()

        found = drill(server.uri, steps=40, layers=5, outages=[outage])
    assert found["points"] > 40 * 30
    assert (found["lost"], found["duplicated"]) == (0, 0)
