"""What a receipt says of a message that an earlier try may have delivered already. No target of its own."""

IN_DOUBT = "may have been sent twice: an earlier try was in doubt"


def noted(*notes: str, in_doubt: bool) -> str:
    """Return the notes of a receipt in one text, and after a try in doubt that the message may have been sent twice."""
    return "; ".join(note for note in (*notes, IN_DOUBT if in_doubt else "") if note)
