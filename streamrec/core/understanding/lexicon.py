"""Words that say how: no, like, under, newer; in English, German, French, Spanish and Chinese.

Knows phrases and the cue that each is. Does not know what they apply to (``reading``). Phrases
stand as ``spoken`` compares them: without case, accents, apostrophes and plurals.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum, auto

from streamrec.core.understanding.spoken import phrase


class Cue(StrEnum):
    NOT = auto()
    """What follows is not wanted, to the end of the clause."""
    WANT = auto()
    """What follows is wanted again."""
    BUT = auto()
    OR = auto()
    AND = auto()
    LIKE = auto()
    """A title follows, and things like it are wanted."""
    HAD = auto()
    """A title follows that somebody has had enough of."""
    SOFT_NOT = auto()
    """Not too, not so: turns a direction round, refuses nothing."""
    TOO = auto()
    IGNORED = auto()
    """Says nothing about what follows: I do not mind."""
    BELOW = auto()
    ABOVE = auto()
    ABOUT = auto()
    BETWEEN = auto()
    FROM = auto()
    TO = auto()
    SINCE = auto()
    """From a year on, that year included."""
    BEFORE = auto()
    """Less than a year, that year left out."""
    AFTER = auto()
    OR_LESS = auto()
    """After an amount."""
    OR_MORE = auto()
    EARLY = auto()
    LATE = auto()
    DECADE = auto()
    """After or before two or four digits."""
    SHOWN = auto()
    """What was shown: that one."""
    FRESH = auto()
    """What was said before counts no more."""
    TURN = auto()
    """At the beginning: goes on from what was said before."""
    NO = auto()
    """At the beginning, before a comma: what was said before was wrong."""
    END = auto()
    """Ends what is not wanted, and says nothing else."""


class NumberRole(StrEnum):
    """What an attribute that holds numbers is about."""

    YEAR = auto()
    DURATION = auto()
    PRICE = auto()
    RATING = auto()
    WEIGHT = auto()


_CUES = {
    Cue.NOT: "any color but, any colour but, not so much, "
    "bored by, bored of, did not like, didnt like, "
    "no, not, without, except, except for, excluding, exclude, nothing, none, never, "
    "avoid, hate, dislike, skip, leave out, minus, less, fewer, neither, nor, anything but, "
    "everything but, all but, anything except, everything except, other than, apart from, "
    "aside from, cant stand, cannot stand, dont want, do not want, dont like, do not like, "
    "dont show, do not show, isnt, arent, wasnt, is not, are not, should not, shouldnt, "
    "not a fan of, tired of, sick of, enough of, not another, kein, keine, keinen, keiner, "
    "keinem, nicht, ohne, ausser, nichts, nie, hasse, alles ausser, pas, pas de, pas d, sans, "
    "sauf, aucun, aucune, ni, jamais, deteste, tout sauf, sin, excepto, salvo, nada de, odio, "
    "todo menos, todo excepto, 不要, 不想, 不想看, 不是, 不看, 别, 除了, 没有, 不喜欢, 不",
    Cue.WANT: "want, love, like, prefer, give me, show me, would like, need, looking for, "
    "instead, rather, only, just, nothing but, not only, yes, please, mochte, lieber, sondern, "
    "nur, suche, veux, prefere, plutot, seulement, quiero, prefiero, mejor, solo, busco, 想看, "
    "想要, 要, 而是, 只要, 喜欢",
    Cue.BUT: "unless, but, however, though, aber, mais, pero, sino, 但, 但是, 可是, 不过",
    Cue.OR: "or, oder, ou, o, 或, 或者, 还是",
    Cue.AND: "and, und, et, y, e, 和, 与, 也",
    Cue.LIKE: "like, like the, something like, similar to, similar to the, more like, such as, "
    "in the style of, along the line of, reminiscent of, comparable to, in the vein of, as in, "
    "wie, so wie, ahnlich wie, im stil von, comme, dans le style de, semblable a, como, "
    "parecido a, parecida a, similar a, al estilo de, 像, 类似, 类似于, 跟",
    Cue.HAD: "already own, already seen, already saw, already have, have seen, already watched, "
    "already read, schon gesehen, deja vu, ya he visto, ya vi, 看过",
    Cue.SOFT_NOT: "not too, not so, not very, not that, not overly, nothing too, nicht so, "
    "nicht zu, nicht allzu, pas trop, pas si, no muy, no tan, no demasiado, 不要太, 不太",
    Cue.TOO: "too, way too, zu, trop, demasiado, 太",
    Cue.IGNORED: "dont mind, do not mind, no matter, no problem, no subtitle, not sure",
    Cue.BELOW: "dont cost more than, doesnt cost more than, not cost more than, "
    "under, below, less than, fewer than, at most, up to, maximum, max, no more than, "
    "not more than, within, not exceeding, budget, budget is, budget of, only have, only got, "
    "half than, in less than, unter, hochsten, maximal, bis zu, weniger als, moin de, au plus, "
    "jusqu a, maximum de, en dessous de, menos de, hasta, como maximo, maximo, por debajo de, "
    "少于, 低于, 最多, 不超过",
    Cue.ABOVE: "over, above, more than, at least, minimum, min of, higher than, "
    "exceeding, uber, mindesten, mehr als, plus de, au moin, mas de, al menos, por encima de, "
    "超过, 高于, 至少, 多于",
    Cue.ABOUT: "about, around, roughly, approximately, circa, ca, etwa, ungefahr, rund, environ, "
    "alrededor de, unos, 大约, 左右",
    Cue.BETWEEN: "between, zwischen, entre",
    Cue.FROM: "from, made in, of, in, von, aus, aus dem jahr, de, desde, del ano, de l annee, "
    "released in, 从",
    Cue.TO: "to, until, till, through, bis, a, hasta, und, and, et, y, 到, 至",
    Cue.SINCE: "since, from at least, starting from, seit, ab, depuis, a partir de, desde, 自",
    Cue.BEFORE: "before, prior to, vor, avant, ante de, anterior a",
    Cue.AFTER: "after, later than, nach, apre, despue de, posterior a",
    Cue.OR_LESS: "or less, or under, or below, or cheaper, or shorter, or earlier, or older, "
    "at most, max, maximum, tops, oder weniger, ou moin, o menos, maximal, hochsten, 以下, 以内, "
    "之内, 之前, 以前",
    Cue.OR_MORE: "or more, or over, or above, or longer, or later, or newer, or better, "
    "or higher, at least, minimum, plus, and up, and above, oder mehr, ou plus, o mas, "
    "mindesten, 以上, 之后, 以后",
    Cue.EARLY: "early, fruhe, fruhen, debut, debut de, principio de, 早期",
    Cue.LATE: "late, spate, spaten, fin de, finale de, 晚期, 末期",
    Cue.DECADE: "s, er, ern, iger, 年代, the year, annee, les annee, des annee, ano, los ano, "
    "de los ano",
    Cue.SHOWN: "not that, not this, not those, not these, not that one, not this one, "
    "something else, something different, another one, other one, nicht das, nicht die, "
    "was andere, etwas andere, pas ca, autre chose, no eso, otra cosa, 不是这个, 换一个",
    Cue.FRESH: "forget that, forget it, forget about that, start over, start again, new search, "
    "never mind, vergiss das, neue suche, oublie ca, nouvelle recherche, olvida eso, "
    "nueva busqueda, 重新",
    Cue.TURN: "any in, "
    "no, nope, not, and, but, or, also, actually, rather, instead, with, without, too, "
    "make it, make that, even, only, just, ok, okay, then, plus, maybe, what about, how about, "
    "in, from, und, aber, oder, auch, eigentlich, lieber, doch, nein, nicht, kein, keine, ohne, "
    "et, mais, ou, aussi, plutot, non, pas, sans, y, pero, o, tambien, mejor, sin, 不, 不要, "
    "还要, 但是",
    Cue.NO: "no, nope, nah, nein, non, 不是, 不",
    Cue.END: "以外, 之外, would be nice, is fine, is ok, is okay",
}

_LONGER, _SHORTER = (NumberRole.DURATION, 1), (NumberRole.DURATION, -1)
_DEARER, _CHEAPER = (NumberRole.PRICE, 1), (NumberRole.PRICE, -1)
_NEWER, _OLDER = (NumberRole.YEAR, 1), (NumberRole.YEAR, -1)
_BETTER, _WORSE = (NumberRole.RATING, 1), (NumberRole.RATING, -1)
_HEAVIER, _LIGHTER = (NumberRole.WEIGHT, 1), (NumberRole.WEIGHT, -1)

_DIRECTIONS = {
    _NEWER: "new, newer, newest, recent, more recent, most recent, latest, modern, contemporary, "
    "current, neu, neue, neuer, neuere, neuste, neueste, aktuell, aktuelle, nouveau, recente, "
    "plus recent, recien, nuevo, nueva, reciente, mas nuevo, mas reciente, 新, 更新, 最新, 最近",
    _OLDER: "old, older, oldest, classic, vintage, alt, alte, alter, altere, klassiker, "
    "klassisch, ancien, vieux, plus ancien, classique, viejo, vieja, antiguo, clasico, clasica, "
    "老, 旧, 经典",
    _SHORTER: "short, shorter, shortest, brief, quick, kurz, kurze, kurzer, kurzere, kurzes, "
    "court, courte, plus court, plus courte, corto, corta, mas corto, mas corta, 短, 更短, 短一点",
    _LONGER: "long, longer, longest, lengthy, lang, lange, langer, langere, longue, plus long, "
    "plus longue, largo, larga, mas largo, mas larga, 长, 更长",
    _CHEAPER: "cheap, cheaper, cheapest, affordable, inexpensive, low cost, less expensive, "
    "gunstig, gunstige, gunstiger, billig, billige, billiger, pas cher, moin cher, bon marche, "
    "barato, barata, mas barato, 便宜, 更便宜, 便宜一点",
    _DEARER: "expensive, more expensive, most expensive, pricey, pricier, premium, luxury, "
    "high end, teuer, teure, teurer, cher, plus cher, caro, cara, mas caro, 贵, 更贵",
    _BETTER: "best, top rated, highly rated, well reviewed, best rated, well rated, better rated, "
    "beste, besten, meilleur, meilleure, mejor valorado, 评分高, 高分",
    _LIGHTER: "light, lighter, lightest, lightweight, leicht, leichte, leichter, leger, legere, "
    "ligero, ligera, 轻",
    _HEAVIER: "heavy, heavier, heaviest, schwer, lourd, pesado",
}

_THAN = {
    "better": _BETTER,
    "worse": _WORSE,
    "longer": _LONGER,
    "shorter": _SHORTER,
    "cheaper": _CHEAPER,
    "more expensive": _DEARER,
    "pricier": _DEARER,
    "less expensive": _CHEAPER,
    "newer": _NEWER,
    "more recent": _NEWER,
    "older": _OLDER,
    "earlier": _OLDER,
    "lighter": _LIGHTER,
    "heavier": _HEAVIER,
}
_THAN_ELSEWHERE = {
    "langer als": _LONGER,
    "kurzer als": _SHORTER,
    "billiger als": _CHEAPER,
    "gunstiger als": _CHEAPER,
    "teurer als": _DEARER,
    "neuer als": _NEWER,
    "alter als": _OLDER,
    "leichter als": _LIGHTER,
    "plus long que": _LONGER,
    "plus court que": _SHORTER,
    "moin cher que": _CHEAPER,
    "mas barato que": _CHEAPER,
    "mas corto que": _SHORTER,
}

ROLE_NAMES = {
    NumberRole.YEAR: "year, released, release, published, jahr, annee, ano, 年, 年份",
    NumberRole.DURATION: "runtime, duration, length, minute, min, "
    "dauer, laufzeit, duree, duracion, 时长",
    NumberRole.PRICE: "price, cost, usd, eur, preis, prix, precio, 价格",
    NumberRole.RATING: "rating, rated, score, star, imdb, bewertung, note, calificacion, 评分",
    NumberRole.WEIGHT: "weight, kg, gewicht, poids, peso, 重量",
}
"""How attributes are called that hold it."""

_MINUTES, _HOURS = (NumberRole.DURATION, 1.0), (NumberRole.DURATION, 60.0)
_MONEY, _POINTS = (NumberRole.PRICE, 1.0), (NumberRole.RATING, 1.0)
_KILOGRAMS, _GRAMS = (NumberRole.WEIGHT, 1.0), (NumberRole.WEIGHT, 0.001)

UNITS = {
    "minute": _MINUTES,
    "min": _MINUTES,
    "minuten": _MINUTES,
    "minuto": _MINUTES,
    "分 钟": _MINUTES,
    "hour": _HOURS,
    "h": _HOURS,
    "hr": _HOURS,
    "stunde": _HOURS,
    "stunden": _HOURS,
    "heure": _HOURS,
    "hora": _HOURS,
    "小 时": _HOURS,
    "个 小 时": _HOURS,
    "euro": _MONEY,
    "eur": _MONEY,
    "€": _MONEY,
    "dollar": _MONEY,
    "usd": _MONEY,
    "$": _MONEY,
    "buck": _MONEY,
    "pound": _MONEY,
    "£": _MONEY,
    "yuan": _MONEY,
    "元": _MONEY,
    "块": _MONEY,
    "dolare": _MONEY,
    "star": _POINTS,
    "point": _POINTS,
    "sterne": _POINTS,
    "etoile": _POINTS,
    "estrella": _POINTS,
    "分": _POINTS,
    "kg": _KILOGRAMS,
    "kilo": _KILOGRAMS,
    "kilogram": _KILOGRAMS,
    "g": _GRAMS,
    "gram": _GRAMS,
}
"""After an amount: what it is of, and how many minutes, of money, points or kilograms one is."""

MONEY = frozenset("$€£¥")

NUMBERS = {
    "one": 1,
    "two": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "seven": 7,
    "eight": 8,
    "nine": 9,
    "ten": 10,
    "eleven": 11,
    "twelve": 12,
    "fifteen": 15,
    "twenty": 20,
    "thirty": 30,
    "forty": 40,
    "fifty": 50,
    "sixty": 60,
    "seventy": 70,
    "eighty": 80,
    "ninety": 90,
    "hundred": 100,
    "a": 1,
    "an": 1,
    "eine": 1,
    "einer": 1,
    "zwei": 2,
    "drei": 3,
    "vier": 4,
    "funf": 5,
    "zehn": 10,
    "zwanzig": 20,
    "hundert": 100,
    "une": 1,
    "un": 1,
    "deux": 2,
    "trois": 3,
    "quatre": 4,
    "cinq": 5,
    "dix": 10,
    "vingt": 20,
    "cent": 100,
    "una": 1,
    "dos": 2,
    "tre": 3,
    "cuatro": 4,
    "cinco": 5,
    "diez": 10,
    "veinte": 20,
    "cien": 100,
    "一": 1,
    "二": 2,
    "两": 2,
    "三": 3,
    "四": 4,
    "五": 5,
    "六": 6,
    "七": 7,
    "八": 8,
    "九": 9,
    "十": 10,
    "百": 100,
}

DECADES = {"fifty": 1950, "sixty": 1960, "seventy": 1970, "eighty": 1980, "ninety": 1990}
"""Where the word is a plural: fifties."""

_FILLERS = """
    a an the any some this of in on with for it be is that who which by from ein eine einen
    einem einer das der die den dem im am mit une un le la les l d du de des en el los las
    lo una uno que con film movie filme pelicula show thing item product ones one new story
    news sean sea sind est 的 片 电 影 色
"""
FILLERS = frozenset(map(phrase, _FILLERS.split()))
"""May stand between a cue and what it is about."""


def _listed(text: str) -> Iterator[str]:
    return (phrase(part) for part in text.split(","))


CUES: dict[str, set[Cue]] = {}
for _cue, _text in _CUES.items():
    for _phrase in _listed(_text):
        CUES.setdefault(_phrase, set()).add(_cue)

DIRECTIONS = {name: found for found, text in _DIRECTIONS.items() for name in _listed(text)}
"""What a word prefers: a role, and more (1) or less (-1) of it."""

THAN = {f"{phrase(name)} than": found for name, found in _THAN.items()} | _THAN_ELSEWHERE
"""What a comparison bounds, and whether from below (1) or above (-1)."""

ROLES = {name: role for role, text in ROLE_NAMES.items() for name in _listed(text)}
