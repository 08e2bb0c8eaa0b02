"""The words for passwords, keys and tokens in the languages of developers, and the pattern that finds them in a text.

A space in a word stands for nothing, a space, `_`, `-`, `.` or `'`. A letter with a mark is found with its mark, with the
mark as a character of its own, and without it. English is in `redact.py`, with the names of fields.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping

LANGUAGES: Mapping[str, tuple[str, ...]] = {
    "Arabic": ("كلمة المرور", "كلمة السر", "رمز الدخول"),
    "Chinese": ("密码", "密碼", "口令", "密钥", "密鑰", "令牌", "私钥", "私鑰", "凭证", "憑證", "暗号"),
    "Czech": ("heslo", "tajný klíč"),
    "Dutch": ("wachtwoord", "geheime sleutel", "toegangssleutel"),
    "French": ("mot de passe", "mdp", "jeton", "clé api", "clé secrète", "clé privée", "clé d accès", "code secret"),
    "German": ("passwort", "kennwort", "geheimnis", "zugangsdaten", "geheimschlüssel", "zugriffsschlüssel", "api schlüssel"),
    "Hindi": ("पासवर्ड", "गुप्त कुंजी", "टोकन"),
    "Indonesian": ("kata sandi", "sandi"),
    "Italian": ("parola d ordine", "parola chiave", "segreto", "chiave api", "chiave segreta", "chiave privata"),
    "Japanese": ("パスワード", "パスフレーズ", "暗証番号", "トークン", "シークレット", "秘密鍵", "認証情報", "アクセスキー", "合言葉"),
    "Korean": ("비밀번호", "패스워드", "암호", "토큰", "시크릿", "비밀키", "개인키", "인증키", "액세스 키"),
    "Polish": ("hasło", "tajny klucz", "klucz api"),
    "Portuguese": ("senha", "segredo", "palavra passe", "chave api", "chave secreta", "chave privada", "chave de acesso", "credenciais"),
    "Russian": ("пароль", "пароля", "паролем", "секрет", "токен", "ключ api", "ключ доступа", "секретный ключ", "учётные данные"),
    "Spanish": ("contraseña", "clave", "secreto", "credenciales", "ficha de acceso", "palabra clave"),
    "Turkish": ("şifre", "parola", "gizli anahtar", "api anahtarı"),
    "Ukrainian": ("ключ доступу", "секретний ключ"),
    "Vietnamese": ("mật khẩu", "khóa bí mật"),
}  # fmt: skip
"""The words beside the English ones, by language."""
SHORT = 5
"""A word of Latin letters that is no longer begins where no other word goes on: `clave` is no part of `enclave`."""
NOT_SHORT = frozenset({"senha"})
_LIKE = {"ł": "l", "ı": "i"}
_BARE_TOO = frozenset({"ё"})
_DIGRAPHS = {"ä": "ae", "ö": "oe", "ü": "ue", "ñ": "nh"}
_GAP = r"[ _.'’-]{0,2}"
_BEGINS = r"(?:(?<![a-z])|(?-i:(?<=[a-z])(?=[A-Z])))"


def latin() -> tuple[str, ...]:
    """Return the words that are written in Latin letters."""
    return tuple(
        sorted({word for words in LANGUAGES.values() for word in words if _is_latin(word)}, key=_longest_first)
    )


def other() -> tuple[str, ...]:
    """Return the words of other scripts."""
    words = {word for words in LANGUAGES.values() for word in words if not _is_latin(word)}
    return tuple(sorted(words, key=_longest_first))


def alternatives(words: tuple[str, ...]) -> str:
    """Return the regular expression that finds any of the words."""
    return "|".join(map(_pattern_of, words))


def hints(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return the lower-case texts of which one is in every text with a word of Latin letters: the ways to write its longest part."""
    return tuple(dict.fromkeys(hint for word in words for hint in _spellings(max(word.split(" "), key=len))))


def _spellings(word: str) -> Iterator[str]:
    """Return a word up to its first letter with a mark, where that is enough, else each way to write it."""
    start = re.match(r"[a-z]*", word)
    if start is not None and len(start[0]) >= min(4, len(word)):
        yield start[0]
        return
    yield word
    yield "".join(_bare(letter) for letter in word)
    yield unicodedata.normalize("NFD", word)


def _pattern_of(word: str) -> str:
    begins = _BEGINS if _is_latin(word) and len(word) <= SHORT and word not in NOT_SHORT else ""
    return begins + "".join(_GAP if letter == " " else _letter(letter) for letter in word)


def _letter(letter: str) -> str:
    """Return the ways to write a letter: `ñ`, `n` with a tilde behind it or without one, `nh`."""
    bare, parts = _bare(letter), unicodedata.normalize("NFD", letter)
    if bare == letter:
        return re.escape(letter)
    if not bare.isascii():
        return f"(?:{letter}|{parts}{'|' + bare if letter in _BARE_TOO else ''})"
    marks = "".join(f"{mark}?" for mark in parts[1:])
    more = f"|{_DIGRAPHS[letter]}" if letter in _DIGRAPHS else ""
    return f"(?:{letter}{more}|{bare}{marks})"


def _bare(letter: str) -> str:
    return _LIKE.get(letter) or unicodedata.normalize("NFD", letter)[:1]


def _is_latin(word: str) -> bool:
    return all(letter == " " or _bare(letter).isascii() for letter in word)


def _longest_first(word: str) -> tuple[int, str]:
    return (-len(word), word)
