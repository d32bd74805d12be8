"""Lists that are read; what may be done to a record is a named act with a trace."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.db.models import Model
from django.http import HttpRequest, HttpResponse

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Model]
    _TabularInline = admin.TabularInline[Model, Model]
else:
    _ModelAdmin = admin.ModelAdmin
    _TabularInline = admin.TabularInline


class ReadOnly:
    """Lets staff see and nobody write; who is staff, the site has asked already."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return True

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class Records(ReadOnly, _ModelAdmin):
    """A list with a search, and a page for each record.

    `fields` names all that is shown. `actions` stand above the list for many records, and as
    buttons on the page of one.
    """

    list_per_page = 50
    show_full_result_count = False

    def links(self, record: Any) -> list[tuple[str, str]]:
        """Return what else can be opened from the page of a record: addresses with their words."""
        return []

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Any:
        """Return the record, or None: also for what PostgreSQL takes for no text at all."""
        return None if "\0" in object_id else super().get_object(request, object_id, from_field)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        acts = [(name, words) for name, words in self.get_action_choices(request) if name]
        record = self.get_object(request, unquote(object_id))
        links = [] if record is None else self.links(record)
        # Its number and not its name, which may say what is for the factory alone.
        context = {"acts": acts, "links": links, "subtitle": object_id, **(extra_context or {})}
        return super().change_view(request, object_id, form_url, context)


class Rows(ReadOnly, _TabularInline):
    """Records that belong to the one that is shown."""

    extra = 0
    can_delete = False
    show_change_link = False
