"""The tables of the first versions, which knew no migrations. What is there stays."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_metadata = sa.MetaData()
sa.Table("nodes", _metadata, sa.Column("id", sa.String(64), primary_key=True), sa.Column("body", sa.JSON, nullable=False))
sa.Table(
    "links",
    _metadata,
    sa.Column("position", sa.Integer, primary_key=True),
    sa.Column("id", sa.String(64), unique=True, nullable=False),
    sa.Column("body", sa.JSON, nullable=False),
)
sa.Table(
    "jobs",
    _metadata,
    sa.Column("position", sa.Integer, primary_key=True),
    sa.Column("id", sa.String(64), unique=True, nullable=False),
    sa.Column("node", sa.String(64), nullable=False, index=True),
    sa.Column("state", sa.String(16), nullable=False, index=True),
    sa.Column("body", sa.JSON, nullable=False),
)
sa.Table("facts", _metadata, sa.Column("name", sa.String(64), primary_key=True), sa.Column("value", sa.JSON, nullable=False))


def upgrade() -> None:
    _metadata.create_all(op.get_bind())


def downgrade() -> None:
    raise NotImplementedError("Take back a backup instead.")
