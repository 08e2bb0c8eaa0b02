"""The page: what happens now, as HTML that needs no script, served by the app itself. `docs/page.md` describes it.

    handle           which request is answered by what: who is signed in, which page, which act
    exchange         what a browser sends, and what it is answered
    now, incident    what a page shows, as values; `picture` is one incident in them
    boards           the pages of measured figures (errors, performance, infrastructure, uptime); measures is what they share
    curve, chart     the value of an alert against its limit, and the places of its SVG
    render, phrases  the templates, and the words that they ask for; `words` writes ages, times and numbers
    assets/          style sheet, script and icons

Links, sessions and the tokens of forms are signed in core/sign_in.py. Nothing of it is loaded by the ingest path: app.py imports it in the body of its handlers.
"""
