from worker_fixtures import processes

__all__ = ["processes"]
