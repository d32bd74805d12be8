"""Django's engine: a schema for each factory, and no statement that changes nothing.

django-tenants sets the search_path before every statement, which doubles their number. PostgreSQL
tells its clients of every change of it, whatever made it (SET, SET LOCAL and its end, a rollback, a
RESET), from version 18 on: https://www.postgresql.org/docs/18/protocol-flow.html#PROTOCOL-ASYNC.
So what a connection looks into is known from the server itself and never remembered here. An older
server tells nothing and has it set every time.
"""

from typing import Any

from django_tenants.postgresql_backend import base


class DatabaseWrapper(base.DatabaseWrapper):
    """Sets the search_path where the server's is another one than the factory's."""

    def _handle_search_path(self, cursor: Any = None) -> None:
        if self._told() != ", ".join(self._get_cursor_search_paths()):
            # Over a cursor of its own: it is not one of the statements of whoever asks. A server
            # that has gone is told as Django tells it, so that the connection is not used again.
            with self.wrap_database_errors:
                super()._handle_search_path()

    def _told(self) -> str | None:
        """Return the server's search_path; a name that it quotes is as good as an unknown one."""
        told: bytes | None = self.connection.pgconn.parameter_status(b"search_path")
        return None if told is None else told.decode()
