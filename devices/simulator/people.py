"""Believable people and working days, the same for the same seed."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from devices.simulator.spec import SimPunch, SimUser

GIVEN_NAMES: Final = [
    "Amina",
    "Aïcha",
    "Beatriz",
    "Björn",
    "Carlos",
    "Chloé",
    "Daniel",
    "Dóra",
    "Elif",
    "Emma",
    "Fatima",
    "Fernando",
    "Grace",
    "Grzegorz",
    "Hana",
    "Hassan",
    "Inês",
    "Ivan",
    "Jana",
    "Joaquín",
    "José",
    "Karim",
    "Katarína",
    "Lars",
    "Léa",
    "Lucía",
    "Marek",
    "María",
    "Mehmet",
    "Nadia",
    "Noah",
    "Olga",
    "Omar",
    "Paula",
    "Pavel",
    "Rania",
    "Renée",
    "Samuel",
    "Siobhán",
    "Sofia",
    "Søren",
    "Tomás",
    "Uma",
    "Viktor",
    "Wanjiru",
    "Yara",
    "Yusuf",
    "Zoë",
]
FAMILY_NAMES: Final = [
    "Adeyemi",
    "Álvarez",
    "Andersson",
    "Bianchi",
    "Castro",
    "Çelik",
    "Costa",
    "Dubois",
    "Eriksen",
    "Fischer",
    "García",
    "Gonçalves",
    "Haddad",
    "Horváth",
    "Ibrahim",
    "Ivanova",
    "Jansen",
    "Jiménez",
    "Kamau",
    "Khan",
    "Kovač",
    "Lefèvre",
    "López",
    "Mbeki",
    "Moreau",
    "Müller",
    "Nguyen",
    "Novák",
    "Núñez",
    "Okafor",
    "Öztürk",
    "Pereira",
    "Petrov",
    "Quispe",
    "Rahman",
    "Rossi",
    "Şahin",
    "Santos",
    "Silva",
    "Smith",
    "Suzuki",
    "Tanaka",
    "Torres",
    "Vargas",
    "Weiß",
    "Wójcik",
    "Yılmaz",  # noqa: RUF001 - his name
    "Zhang",
]
FIRST_USER_ID: Final = 1001
_MORNING: Final = timedelta(hours=7, minutes=40)
_WORKDAY: Final = timedelta(hours=10)
_MOST_DAYS: Final = 1_000


def hire(count: int, *, seed: int = 0) -> tuple[SimUser, ...]:
    """``count`` people with user ids from 1001; the first one may use the unit's menu."""
    draw = random.Random(seed)  # noqa: S311 - names
    return tuple(_person(uid, draw) for uid in range(1, count + 1))


def _person(uid: int, draw: random.Random) -> SimUser:
    name = f"{draw.choice(GIVEN_NAMES)} {draw.choice(FAMILY_NAMES)}"
    card = draw.randrange(1_000_000, 9_999_999) if draw.random() < 0.5 else 0
    return SimUser(uid, str(FIRST_USER_ID + uid - 1), name, privilege=14 if uid == 1 else 0, card=card)


def working_days(people: tuple[SimUser, ...], count: int, *, until: datetime, seed: int = 0) -> list[SimPunch]:
    """The last ``count`` punches before the day of ``until``, in order of time, no two of a person at one moment."""
    if not people or count <= 0:
        return []
    draw = random.Random(seed)  # noqa: S311 - minutes
    turns = max(2, math.ceil(count / (len(people) * _MOST_DAYS)))
    days = math.ceil(count / (len(people) * turns))
    today = until.replace(hour=0, minute=0, second=0, microsecond=0)
    punches: list[SimPunch] = []
    for back in range(days, 0, -1):
        punches += sorted(_day(people, today - timedelta(days=back), turns, draw), key=lambda punch: punch.time)
    return punches[-count:]


def _day(people: tuple[SimUser, ...], day: datetime, turns: int, draw: random.Random) -> Iterator[SimPunch]:
    spacing = _WORKDAY.total_seconds() / turns
    for person in people:
        for turn in range(turns):
            late = timedelta(seconds=int(turn * spacing + draw.random() * min(spacing, 2_700)))
            yield SimPunch(person.user_id, day + _MORNING + late, verify=draw.choice((1, 1, 1, 15, 4)), state=turn % 2)
