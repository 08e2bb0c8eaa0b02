"""Connection strings in the forms that hosts, poolers and clients hand out: read, or refused by the name of what is wrong."""

import pytest

from chalicelib.core.errors import RulesError
from chalicelib.probes._dsn import options_of

READ = [
    ("postgresql://u:p@db.abcdefghijkl.supabase.co:5432/postgres", {"host": "db.abcdefghijkl.supabase.co"}),
    (
        "postgres://postgres.abc:p@aws-0-eu-central-1.pooler.supabase.com:6543/postgres?pgbouncer=true&connection_limit=1",
        {"user": "postgres.abc", "port": "6543", "dbname": "postgres"},
    ),
    ("postgres://u:p@h/d?sslmode=require&supa=base-pooler.x", {"sslmode": "require"}),
    ("postgresql://u:p@h/d?schema=public&pool_timeout=20&socket_timeout=3", {"dbname": "d"}),
    ("postgresql+asyncpg://u:p@h/d?prepared_statement_cache_size=0", {"host": "h", "password": "p"}),
    ("jdbc:postgresql://h:5433/d?user=u&password=p&ssl=true&prepareThreshold=0", {"user": "u", "sslmode": "require"}),
    ("postgres://u:p%40%3F@h/d?sslmode=no-verify", {"password": "p@?", "sslmode": "require"}),
    (
        "postgresql://u:p@h/d?sslmode=require&channel_binding=require&options=endpoint%3Dep-x",
        {"options": "endpoint=ep-x"},
    ),
    ("host=127.0.0.1 port=6432 dbname=app user=u password='a b'", {"port": "6432", "password": "a b"}),
    ("postgresql://u:p@h/d?options=-c%20statement_timeout%3D5s", {"options": "-c statement_timeout=5s"}),
    ("postgresql://u@h/d?password=a%20b%26c", {"password": "a b&c"}),
    ("jdbc:postgresql://h/d?user=u&password=a+b", {"password": "a+b"}),
    ("postgresql://u:12/rest@host/app", {"password": "12/rest", "host": "host", "dbname": "app", "port": None}),
    ("postgresql://u:p/r@s:t#%2F@h:5433/d", {"password": "p/r@s:t#/", "host": "h", "port": "5433", "dbname": "d"}),
    ("postgresql+asyncpg://u:p@h/d?ssl=require", {"sslmode": "require"}),
    ("postgres://u:p@h/d?ssl=1", {"sslmode": "require"}),
    ("postgres://u:p@h/d?ssl=no-verify", {"sslmode": "require"}),
    ("postgres://u:p@h/d?sslmode=REQUIRE", {"sslmode": "require"}),
    ("postgres://u:p@/d?host=/tmp/socket", {"host": "/tmp/socket"}),
    ("postgresql://h/d%40x", {"host": "h", "dbname": "d@x"}),
    ("postgresql://u:p@a:1,b:2/d?target_session_attrs=read-write\n", {"host": "a,b", "port": "1,2"}),
]


@pytest.mark.parametrize(("text", "options"), READ)
def test_read(text: str, options: dict[str, str]) -> None:
    """Given a form that somebody hands out → what libpq needs of it, without what is for another client."""
    found = options_of(text, "DATABASE_URL")
    assert {name: found.get(name) for name in options} == options


REFUSED = [
    (
        "postgresql://u:p@h/d?sslaccept=strict",
        "the parameter sslaccept, which PostgreSQL does not know; write sslmode=",
    ),
    ("postgresql://u:p@h/d?colour=red", "the parameter colour, which PostgreSQL does not know; remove it"),
    ("postgresql://u:p@h/d?sslmode=maybe", "an unknown sslmode; allowed is one of disable, allow, prefer, require"),
    ("prisma+postgres://accelerate.prisma-data.net/?api_key=hunter2", "Prisma Accelerate"),
    ("postgresql://postgres:[YOUR-PASSWORD]@db.x.supabase.co:5432/postgres", "still has a placeholder"),
    ("postgresql://u:hun?ter2@h/d", "written %40 %3A %2F %3F"),
    ("mysql://u:hunter2@h/d", "is not a PostgreSQL connection string"),
    ("postgresql://u:hunter2@h:70000/d", "a port that is none; allowed are 1 to 65535"),
    ("postgresql://u:hunter2@h:0/d", "a port that is none"),
    ("host=h port=abc user=u password=hunter2", "a port that is none"),
    ("postgresql://u:hunter2@a..b/d", "its host must be a name or an IP address"),
    ("host=hun/ter2 user=u", "its host must be a name or an IP address"),
    ("postgresql://u:hunter2@0.0.0.0/d", "its host must be the address of a server"),
    ("postgresql://%ff:hunter2@h/d", "is not a PostgreSQL connection string"),
    ("postgresql://u:hunter2@h/d?service=nope", "a service, which is in a file of another machine"),
    ("postgresql://u:hunter2@h/d?gssencmode=require", "an unknown gssencmode; allowed is one of disable, prefer"),
    ("postgresql://u:hunter2@h/d?ssl_min_protocol_version=foo", "an unknown ssl_min_protocol_version; allowed is"),
    ("postgresql://u:hunter2@h/d?ssl=maybe", "an unknown sslmode"),
]


@pytest.mark.parametrize(("text", "words"), REFUSED)
def test_refused(text: str, words: str) -> None:
    """Given anything else → the secret's name, what is wrong and what is allowed, without what the secret holds."""
    with pytest.raises(RulesError) as raised:
        options_of(text, "DATABASE_URL")
    assert words in str(raised.value) and str(raised.value).startswith("the secret DATABASE_URL")
    assert "hunter2" not in str(raised.value) and "ter2" not in str(raised.value)


def test_an_empty_list_of_parameters() -> None:
    """Given a question mark and nothing behind it → read."""
    assert options_of("postgresql://u:p@h/d?", "DATABASE_URL")["dbname"] == "d"
