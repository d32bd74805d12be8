"""What a PDF that the stand-in or Takt wrote says."""

import re


def pdf_texts(content: bytes) -> list[str]:
    """Return what a PDF of our writer says, line by line, after checking its structure."""
    assert content.startswith(b"%PDF-1.7")
    (found,) = re.findall(rb"startxref\n(\d+)\n%%EOF", content)
    start = int(found)
    places = re.findall(rb"(\d{10}) 00000 n", content[start:])
    for number, place in enumerate(places, start=1):
        assert content[int(place) :].startswith(f"{number} 0 obj".encode())
    for length, stream in re.findall(rb"/Length (\d+) >>\nstream\n(.*?)\nendstream", content, re.S):
        assert int(length) == len(stream)
    found = re.findall(rb"Td \(((?:[^\\)]|\\.)*)\) Tj", content)
    return [re.sub(rb"\\(.)", rb"\1", text).decode("cp1252") for text in found]
