"""Views of the served warehouse: what a business asks first, with names that a reader understands.

Belongs here: which tables a view joins, and its columns. Does not belong here: what is computed (`assets`): a view
adds up nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from analytics_assets.outlets.served import ServedTable
from analytics_assets.outlets.sessions import sql_name
from analytics_assets.postgres import literal, quoted


@dataclass(frozen=True)
class Joined:
    """Say what a view takes of a further table, where it is served.

    Attributes:
        table: The table.
        by: The column that both have, and that names one row of it.
        columns: Which of its columns, each with its name in the view.
    """

    table: str
    by: str
    columns: Mapping[str, str]


@dataclass(frozen=True)
class View:
    """Describe a view: the rows of one table, with columns of others beside them.

    Attributes:
        name: Its name.
        says: What it is for.
        table: The table whose rows it shows, with every column that the reader may see.
        joins: What stands beside them.
    """

    name: str
    says: str
    table: str
    joins: tuple[Joined, ...] = ()

    def statements(self, tables: Mapping[str, ServedTable], schema: str) -> tuple[str, ...]:
        """Return the statements that make it; none where its table is not served."""
        if self.table not in tables:
            return ()
        joins = [join for join in self.joins if join.table in tables]
        columns = [f"t.{quoted(name)}" for name in tables[self.table].readable]
        columns += [
            f"{quoted(join.table)}.{quoted(column)} AS {quoted(called)}"
            for join in joins
            for column, called in join.columns.items()
        ]
        sources = [f"{sql_name(schema, self.table)} AS t"]
        sources += [
            f"LEFT JOIN {sql_name(schema, join.table)} AS {quoted(join.table)} USING ({quoted(join.by)})"
            for join in joins
        ]
        view = sql_name(schema, self.name)
        query = f"SELECT {', '.join(columns)} FROM {' '.join(sources)}"
        return (f"CREATE VIEW {view} AS {query}", f"COMMENT ON VIEW {view} IS {literal(self.says)}")


VIEWS = (
    View(
        "vw_sales_overview",
        "every order line that counts, with who, what, where and by which campaign",
        "sales_overview",
    ),
    View(
        "vw_customer_lifetime_value",
        "every customer: what was bought so far, what is expected, the segment and the risk of losing them",
        "customer_lifetime_value",
        (
            Joined(
                "rfm_customer_segments",
                "user_key",
                {"segment": "rfm_segment", "rfm": "rfm"},
            ),
            Joined(
                "clv_customers",
                "user_key",
                {"p_alive": "p_alive", "expected_orders": "expected_orders", "expected_value": "expected_value"},
            ),
            Joined("customer_churn_risk", "user_key", {"chance": "churn_chance", "expected_loss": "expected_loss"}),
            Joined("dim_users", "user_key", {"channel": "channel", "device": "device", "signed_up_on": "signed_up_on"}),
        ),
    ),
    View("vw_product_performance", "every product: sales, profit, returns, share and rank", "product_performance"),
)
