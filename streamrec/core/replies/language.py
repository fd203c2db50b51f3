"""Which language a short text is in: by its script, and by its small words where a script has many.

Knows ten languages of the Latin script by some of their most frequent words, and one language for
each of a dozen other scripts. Does not know languages that share a script otherwise (Persian and
Arabic, Bulgarian and Russian): they count as the first. Where nothing tells, it says so: a title or
two has no language.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from types import MappingProxyType

ENGLISH = "en"
NAMES = MappingProxyType(
    {"en": "English", "de": "German", "fr": "French", "es": "Spanish", "it": "Italian"}
    | {"pt": "Portuguese", "nl": "Dutch", "sv": "Swedish", "pl": "Polish", "tr": "Turkish"}
    | {"zh": "Chinese", "ja": "Japanese", "ko": "Korean", "ru": "Russian", "uk": "Ukrainian"}
    | {"el": "Greek", "ar": "Arabic", "he": "Hebrew", "hi": "Hindi", "th": "Thai"}
)
"""Every language that can be told, by its code (ISO 639-1), in English."""

_WORDS = {
    "en": "the a an and or of to in is it i you me my we for with that this what are was be not but"
    " on at as do does did have has like want something anything about would could can your some"
    " from more show give please any when who how",
    "de": "der die das den dem ein eine einen einem einer und oder von zu im in ist ich du mir mich"
    " wir für mit dass dies was sind war sein nicht kein keine aber auf als haben hat wie möchte"
    " etwas über bitte dein deine Sie auch noch mehr wer wenn gern gerne zeig gib mal so es",
    "fr": "le la les un une des et ou de du à en est je tu me moi mon nous pour avec que ce cette"
    " quoi sont était être pas mais sur au comme avoir a veux quelque chose voudrais plus aime"
    " montre donne il elle ne",
    "es": "el la los las un una unos y o de del a en es yo tú me mi nosotros para con que esto este"
    " qué son era ser no pero sobre al como quiero algo quisiera más gusta muestra dame por lo",
    "it": "il lo la gli le un una uno e o di del della a in è io tu mi mio noi per con che questo"
    " cosa sono era essere non ma su al come voglio qualcosa vorrei più piace mostra dammi da",
    "pt": "o os as um uma uns e ou de do da a em é eu tu me meu nós para com que isto este não são"
    " era ser mas sobre ao como quero algo gostaria mais gosto mostra você por",
    "nl": "de het een en of van te in is ik jij je mij mijn wij voor met dat dit wat zijn was niet"
    " geen maar op als hebben heeft iets over wil graag meer laat geef ook",
    "sv": "den det en ett och eller av att i är jag du mig min vi för med som detta vad var vara"
    " inte men på har vill något om gärna mer visa ge också",
    "pl": "ten ta to i lub z do w jest ja ty mnie mój my dla że co są był być nie ale na jak chcę"
    " coś o proszę więcej pokaż daj się czy",
    "tr": "bir ve veya bu şu ben sen bana benim biz için ile ne var mi mı değil ama gibi istiyorum"
    " şey hakkında lütfen daha göster ver çok",
}
_LANGUAGES_OF: dict[str, list[str]] = {}
for _language, _line in _WORDS.items():
    for _word in _line.casefold().split():
        _LANGUAGES_OF.setdefault(_word, []).append(_language)

_SCRIPTS = {
    "CJK": "zh",
    "HIRAGANA": "ja",
    "KATAKANA": "ja",
    "HANGUL": "ko",
    "CYRILLIC": "ru",
    "GREEK": "el",
    "ARABIC": "ar",
    "HEBREW": "he",
    "DEVANAGARI": "hi",
    "THAI": "th",
}
_UKRAINIAN = re.compile("[іїєґ]")
_ACCENTS = re.compile("[\u0300-\u036f]")
_WORD = re.compile(r"[^\W\d_]+")


def small_words() -> frozenset[str]:
    """Those of every language, in lower case, without accents."""
    return frozenset(map(unaccented, _LANGUAGES_OF))


def unaccented(word: str) -> str:
    return _ACCENTS.sub("", unicodedata.normalize("NFKD", word))


def language_of(text: str) -> str:
    """Its code; empty where nothing tells.

    The script of most letters decides, Japanese by a tenth of its own syllables. In the Latin
    script the language with most of its small words does, a word that several languages have
    counting for each in parts; a tie between two is no answer.
    """
    scripts = Counter(map(_script, filter(str.isalpha, text)))
    if not scripts:
        return ""
    if 10 * (scripts["HIRAGANA"] + scripts["KATAKANA"]) > scripts["CJK"] > 0:
        return "ja"
    script = scripts.most_common(1)[0][0]
    if script == "CYRILLIC" and _UKRAINIAN.search(text.casefold()):
        return "uk"
    return _latin(text) if script == "LATIN" else _SCRIPTS.get(script, "")


def fits(text: str, language: str) -> bool:
    """Whether a text may be of a language: its script is, and its small words do not say another.
    Of a language that many others share the script with, except English, one small word at least
    must say it."""
    found = language_of(text)
    if found == language or language not in NAMES:
        return True
    if language != ENGLISH or found:
        return False
    scripts = Counter(map(_script, filter(str.isalpha, text)))
    return not scripts or scripts.most_common(1)[0][0] == "LATIN"


def _script(letter: str) -> str:
    return "LATIN" if letter.isascii() else unicodedata.name(letter, "").partition(" ")[0]


def _latin(text: str) -> str:
    scores: Counter[str] = Counter()
    for word in _WORD.findall(text.casefold()):
        languages = _LANGUAGES_OF.get(word, [])
        for language in languages:
            scores[language] += 1 / len(languages)  # type: ignore[assignment]
    ranked = scores.most_common(2)
    if not ranked or (len(ranked) == 2 and ranked[0][1] == ranked[1][1]):
        return ""
    return ranked[0][0]
