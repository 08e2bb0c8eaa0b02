"""Answers /router: the state of the stage."""

from chalicelib import VERSION
from chalicelib.web.exchange import PageReply
from chalicelib.web.router import router_view, silent_plugins
from chalicelib.web.visitor import Visitor

HERE = "router"


def answer(visitor: Visitor) -> PageReply:
    """Return the page."""
    page = visitor.page
    view = router_view(page.store, page.rules, page.store.context(), page.now)
    return visitor.banded("router.html", {"view": view, "silent": silent_plugins(view), "version": VERSION}, HERE)
