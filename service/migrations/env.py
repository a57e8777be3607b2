"""What Alembic runs: migrate on the connection it was handed, or on the database of HUB_DATABASE_URL."""

from alembic import context
from sqlalchemy.engine import Connection

from service.db import Base, is_modelled, make_engine
from service.settings import read_settings
from service.tables import TABLE_MODULES  # noqa: F401


def migrate(connection: Connection) -> None:
    """Run the migrations inside the connection's transaction."""
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=True,
        transactional_ddl=True,
        compare_type=True,
        include_name=is_modelled,
    )
    with context.begin_transaction():
        context.run_migrations()


if (given := context.config.attributes.get("connection")) is not None:
    migrate(given)
else:
    with make_engine(read_settings().database).begin() as opened:
        migrate(opened)
