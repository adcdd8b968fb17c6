"""The people of the simulated market and where they work. All names are made up; all domains are reserved ones."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

_FIRST_NAMES = """
Ada Amir Ana Anders Aylin Bea Ben Carla Chen Chiara Daan Dana David Elif Emil Eva Farid Femke Finn Grace Hana Hugo Ida Igor Imani
Ines Ivan Jana Jonas Jun Kaya Kofi Lara Leo Lina Luca Maja Malik Marta Mateo Mina Nadia Niko Nora Olga Omar Paula Petra Quinn Rafael
Ravi Rosa Sami Sara Selin Sofia Sven Tara Theo Tomas Uma Vera Viktor Wanda Yara Yuki Zoe
"""
_LAST_NAMES = """
Adler Almeida Bakker Berg Bianchi Brandt Bruno Chandra Costa Dahl Demir Dubois Eriksson Fischer Fontana Garcia Haas Hansen Horvat
Ito Jansen Kaplan Keller Kim Kovac Kowalski Lang Lindberg Lopez Marino Martin Meyer Moreau Mori Nagy Nakamura Novak Okafor Olsen
Ortega Park Patel Peeters Petrov Popa Ramos Rossi Sato Schmid Silva Singh Sokolov Tanaka Toth Vargas Virtanen Vogel Weber Winter
Wolf Yilmaz Zhang
"""
_FIRST = _FIRST_NAMES.split()
_LAST = _LAST_NAMES.split()


@dataclass(frozen=True, slots=True)
class Company:
    name: str
    domain: str
    size: int
    industry: str
    country: str


COMPANIES = (
    Company("Northwind Logistics", "northwind.example", 1200, "logistics", "DE"),
    Company("Blaustein Bank", "blaustein.example", 4300, "banking", "DE"),
    Company("Fjordlys Energi", "fjordlys.example", 860, "energy", "NO"),
    Company("Atelier Nomade", "nomade.example", 45, "design", "FR"),
    Company("Cobalt Systems", "cobalt.example", 310, "software", "US"),
    Company("Meridian Health", "meridian.example", 2200, "health", "US"),
    Company("Papaya Retail", "papaya.example", 780, "retail", "ES"),
    Company("Hanami Robotics", "hanami.example", 540, "manufacturing", "JP"),
    Company("Old Mill Bakery", "oldmill.example", 12, "food", "GB"),
    Company("Sierra Telecom", "sierra.example", 9100, "telecoms", "PT"),
    Company("Kestrel Insurance", "kestrel.example", 1650, "insurance", "GB"),
    Company("Tiny Tailor", "tinytailor.example", 6, "retail", "IT"),
    Company("Vantage Media", "vantage.example", 230, "media", "NL"),
    Company("Lumen Optics", "lumen.example", 410, "manufacturing", "CH"),
    Company("Quarry Analytics", "quarry.example", 95, "software", "IE"),
    Company("Polder Foods", "polder.example", 3300, "food", "NL"),
)
RIVALS = (
    Company("Rival", "rival.example", 400, "software", "US"),
    Company("Copycat", "copycat.example", 60, "software", "US"),
)
UNIVERSITY = Company("University of Somewhere", "uni.example", 15000, "education", "DE")

BUYER_TITLES = ("VP Marketing", "Head of Sales", "Chief Revenue Officer", "Director Marketing", "VP Sales", "Head of Growth")
EXPERT_TITLES = ("Marketing Manager", "Senior Analyst", "Sales Operations Manager", "Director Demand Generation", "Team Lead CRM")
READER_TITLES = ("Consultant", "Product Manager", "Software Engineer", "Assistant", "Office Manager")


@dataclass(frozen=True, slots=True)
class Person:
    number: int
    first_name: str
    last_name: str
    title: str
    department: str
    company: Company

    @property
    def email(self) -> str:
        # The number keeps two people of one name apart, as real address books do.
        return f"{self.first_name}.{self.last_name}{self.number}@{self.company.domain}".lower()

    @property
    def cookie(self) -> str:
        return f"c-{self.number:05d}"

    def attributes(self) -> dict[str, Any]:
        """What a CRM would know about the person."""
        return {
            "first_name": self.first_name,
            "last_name": self.last_name,
            "title": self.title,
            "department": self.department,
            "company": self.company.name,
            "company_size": self.company.size,
            "industry": self.company.industry,
            "country": self.company.country,
        }


def meet(number: int, rng: random.Random, titles: tuple[str, ...], companies: tuple[Company, ...] = COMPANIES) -> Person:
    """The next person of the market."""
    title = rng.choice(titles)
    department = "sales" if "Sales" in title or "Revenue" in title else rng.choice(("marketing", "marketing", "it", "finance"))
    return Person(number, rng.choice(_FIRST), rng.choice(_LAST), title, department, rng.choice(companies))
