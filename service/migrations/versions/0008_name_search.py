"""Find patients by a part of the name, three letters at a time; by HN, birthday or order number anywhere.

SQLite gets a full-text table that triggers keep in step with `studies`; PostgreSQL an index over a function,
because pg_trgm drops Thai letters where the server's locale is C. A later migration that makes `studies` anew
on SQLite drops the triggers with the old table and must create them again.
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

FUNCTION = """
CREATE FUNCTION name_grams(name text, hcode text) RETURNS text[] LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    marked text := '^' || translate(lower(name), '= ', '^^') || '^';
    grams text[] := ARRAY['#' || coalesce(hcode, '')];
BEGIN
    FOR n IN 1 .. length(marked) - 2 LOOP
        grams := grams || substr(marked, n, 3);
    END LOOP;
    RETURN grams;
END $$
"""
TABLE = """
CREATE VIRTUAL TABLE patient_names USING fts5(name, hospital, content='', tokenize='trigram', detail=column)
"""
ROW = """
    INSERT INTO patient_names ({command}rowid, name, hospital) VALUES (
        {value}{row}.id,
        '^' || replace(replace({row}.patient_name, '=', '^'), ' ', '^') || '^',
        coalesce({row}.hcode, '')
    );
"""
ADD = ROW.format(command="", value="", row="new")
REMOVE = ROW.format(command="patient_names, ", value="'delete', ", row="old")
CHANGED = "old.id <> new.id OR old.patient_name <> new.patient_name OR old.hcode IS NOT new.hcode"
TRIGGERS = {
    "studies_name_added": f"AFTER INSERT ON studies BEGIN {ADD} END",
    "studies_name_changed": f"AFTER UPDATE ON studies WHEN {CHANGED} BEGIN {REMOVE} {ADD} END",
    "studies_name_removed": f"AFTER DELETE ON studies BEGIN {REMOVE} END",
}
FILL = f"INSERT INTO patient_names (rowid, name, hospital) SELECT {ADD.partition('VALUES (')[2].rpartition(')')[0]} FROM studies AS new"


def upgrade() -> None:
    op.create_index(
        "ix_studies_patient_id", "studies", ["patient_id"], postgresql_ops={"patient_id": "text_pattern_ops"}
    )
    op.create_index("ix_studies_birth_date", "studies", ["birth_date", "sex"])
    op.create_index("ix_studies_accession_number", "studies", ["accession_number"])
    if op.get_bind().dialect.name == "sqlite":
        op.execute(TABLE)
        op.execute(FILL)
        for name, text in TRIGGERS.items():
            op.execute(f"CREATE TRIGGER {name} {text}")
    else:
        op.execute(FUNCTION)
        op.execute(
            "CREATE INDEX ix_studies_name_grams ON studies USING gin (name_grams(patient_name, hcode))"
        )


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for name in TRIGGERS:
            op.execute(f"DROP TRIGGER {name}")
        op.execute("DROP TABLE patient_names")
    else:
        op.drop_index("ix_studies_name_grams", "studies")
        op.execute("DROP FUNCTION name_grams")
    op.drop_index("ix_studies_accession_number", "studies")
    op.drop_index("ix_studies_birth_date", "studies")
    op.drop_index("ix_studies_patient_id", "studies")
