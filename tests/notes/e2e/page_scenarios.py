"""What the page at / has to do, in a browser."""

import json

from browser import Browser
from service import ids_of, wait_until_linked

LISTED = "[...document.querySelectorAll('#list button')].map((button) => button.textContent)"


def wait_for_list(page, ids):
    page.wait(f"the list {ids}",
              f"JSON.stringify({LISTED}.sort()) === JSON.stringify({json.dumps(sorted(ids))})")


def click_note(page, note_id):
    page.evaluate("[...document.querySelectorAll('#list button')]"
                  f".find((button) => button.textContent === {json.dumps(note_id)}).click()")
    page.wait(f"note {note_id!r}", f"document.querySelector('#id').value === {json.dumps(note_id)}"
              " && document.querySelector('#form-title').textContent === 'Edit note'")


def text_of(page, selector):
    return page.evaluate(f"document.querySelector({json.dumps(selector)}).value")


def test_page_lists_adds_edits_and_deletes(world):
    node = world.single().start()
    evil = "<img src=x onerror=\"document.title='taken over'\">"
    with Browser() as page:
        page.open(f"http://127.0.0.1:{node.port}/")
        page.wait("the empty list", "document.querySelector('#count').textContent"
                                    " === 'There are no notes yet.'")
        for note_id, text in (("shopping list", "Buy milk\n\u00e4\u20ac"), (evil, f"<script>{evil}</script>"),
                              ("a/b?c#d%", "odd")):
            page.click("#new")
            page.fill("#id", note_id)
            page.fill("#body", text)
            page.click("#save")
            page.wait("the answer", "document.querySelector('#message').textContent"
                                    " === 'Saved as a new note.'")
            assert node.get(note_id).body == text.encode()
            assert node.get(note_id).headers["content-type"] == "text/plain; charset=utf-8"
        wait_for_list(page, ["shopping list", evil, "a/b?c#d%"])

        click_note(page, "shopping list")
        assert text_of(page, "#body") == "Buy milk\n\u00e4\u20ac"
        page.fill("#body", "Buy bread")
        page.click("#save")
        page.wait("the answer", "document.querySelector('#message').textContent === 'Saved.'")
        assert node.get("shopping list").body == b"Buy bread"

        assert node.put("binary", b"\xff\x00", "application/octet-stream").status == 201
        page.click("#refresh")
        wait_for_list(page, ["shopping list", evil, "a/b?c#d%", "binary"])
        click_note(page, "binary")
        assert page.evaluate("document.querySelector('#body').disabled")
        assert "2 bytes" in page.evaluate("document.querySelector('#binary').textContent")

        for note_id in ("a/b?c#d%", evil):
            click_note(page, note_id)
            page.click("#remove")
            page.wait("the answer", "document.querySelector('#message').textContent === 'Deleted.'")
            assert node.get(note_id).status == 404
            assert note_id in page.dialogs[-1]
        wait_for_list(page, ["shopping list", "binary"])
        assert page.evaluate("document.title") == "Notes"
        assert page.errors == [], page.errors

        # Notes that are pages themselves can do nothing.
        script = b"<!DOCTYPE html><title>Harmless</title><script>document.title = 'taken over'</script>"
        assert node.put("page", script, "text/html").status == 201
        page.open(f"http://127.0.0.1:{node.port}/notes/page")
        page.wait("the note", "document.title === 'Harmless'")
        assert any("sandbox" in str(each) for each in page.errors), page.errors
    assert node.stop() == 0


def test_page_says_when_a_node_is_away(world):
    a, b = world.pair()
    a.start()
    b.start()
    wait_until_linked(a, b)
    note_id = ids_of("b", 1)[0]
    assert a.put(note_id, b"kept by b").status == 201
    with Browser() as page:
        page.open(f"http://127.0.0.1:{a.port}/")
        wait_for_list(page, [note_id])
        b.kill()
        page.click("#refresh")
        page.wait("the complaint", "document.querySelector('#message').className === 'card bad'"
                                   " && document.querySelector('#message').textContent.includes(\"'b'\")")
        b.start()
        # It tries again by itself.
        page.wait("the recovery", "document.querySelector('#message').className === 'card'", 30)
        click_note(page, note_id)
        assert text_of(page, "#body") == "kept by b"
        assert page.errors == [], page.errors
    assert a.stop() == 0 and b.stop() == 0
