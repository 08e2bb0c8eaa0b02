"""The routes of the page: itself, its parts as they change, its files, a mail's HTML, and the runbook's pages."""

from pathlib import Path

from starlette.routing import Route

from local.inbox.drawing import page
from local.inbox.exchange import Json, Reply, json_reply, text_reply
from local.inbox.http import answering
from local.inbox.stand_ins import StandIns

STATIC = Path(__file__).with_name("static")
RUNBOOK = Path(__file__).resolve().parents[3] / "chalicelib" / "runbook"
TYPES = {".css": "text/css", ".js": "text/javascript", ".md": "text/plain", ".svg": "image/svg+xml"}


class Pages:
    """Draws what the stand-ins received."""

    def __init__(self, stand_ins: StandIns) -> None:
        self._stand_ins = stand_ins

    def routes(self) -> list[Route]:
        """Return the routes of all pages."""
        return [
            Route("/", answering(self._whole)),
            Route("/_page/fragments", answering(self._fragments)),
            Route("/static/{name}", answering(lambda asked: _file(STATIC, asked["name"]))),
            Route("/runbook/{name}", answering(lambda asked: _file(RUNBOOK, asked["name"]))),
            Route("/mail/{identifier}", answering(self._mail)),
        ]

    def _whole(self, asked: Json) -> Reply:
        found = self._stand_ins
        with found.memory.lock:
            view = str(asked.get("view") or page.first_view(found.memory))
            connected = bool(found.connections.tocsin)
            html = page.whole(
                found.memory,
                view,
                views=found.slack.views,
                now=found.clock(),
                connected=connected,
                can_sign_in=connected and bool(found.connections.api_token),
            )
        return text_reply(html, headers={"Content-Security-Policy": page.POLICY})

    def _fragments(self, asked: Json) -> Reply:
        """Return the parts of the page that change; 204 when nothing is new since `version`."""
        memory = self._stand_ins.memory
        with memory.lock:
            version = str(memory.version)
            if asked.get("version") == version:
                return Reply(204)
            view = str(asked.get("view") or page.first_view(memory))
            views = self._stand_ins.slack.views
            now, connected = self._stand_ins.clock(), bool(self._stand_ins.connections.tocsin)
            return json_reply(
                {
                    "version": version,
                    "side": page.sidebar(memory, view),
                    "main": page.main(memory, view, now=now, connected=connected),
                    "modals": page.modals(memory, views),
                    "modal_id": f"{views[-1]['id']}{views[-1]['hash']}" if views else "",
                }
            )

    def _mail(self, asked: Json) -> Reply:
        memory = self._stand_ins.memory
        with memory.lock:
            mail = next((each for each in memory.mails if each["id"] == asked["identifier"]), None)
        if mail is None:
            return json_reply({"error": "not found"}, 404)
        return text_reply(page.mail_document(mail), headers={"Content-Security-Policy": page.MAIL_POLICY})


def _file(folder: Path, name: str) -> Reply:
    path = folder / name
    if path.parent != folder or path.suffix not in TYPES or not path.is_file():
        return json_reply({"error": "not found"}, 404)
    return text_reply(path.read_text(encoding="utf-8"), content_type=TYPES[path.suffix])
