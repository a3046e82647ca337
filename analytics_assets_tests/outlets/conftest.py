from analytics_assets_tests.making import engine

__all__ = ["engine"]
