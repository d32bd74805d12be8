from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from mlops.models import VibrationBurst
from mlops.vibration.arriving import MAX_SAMPLES, MIN_SAMPLES, RATE_HZ

MAX_BURSTS = 50
_ZONE = {
    "name": "C",
    "words": "Only for a while",
    "limits_mm_s": [1.4, 2.8, 4.5],
    "edition": "ISO 10816-3:2009",
}
_FIGURES = {
    "rms_m_s2": 4.1,
    "peak_m_s2": 31.7,
    "crest": 7.7,
    "kurtosis": 9.8,
    "velocity_mm_s": 3.1,
    "zone": _ZONE,
}
_LINE = {
    "part": "outer race",
    "name": "BPFO",
    "expected_hz": 107.4,
    "found_hz": [107.0, 214.0, 321.0],
    "above_db": [21.3, 19.8, 17.2],
}
_DIAGNOSIS = {
    "damaged": "outer race",
    "sentence": "Outer race of the bearing 6205 at drive end, radial: 3 harmonics of 107.0 Hz "
    "stand 19 dB above their surroundings.",
    "speed_rpm": 1797.0,
    "is_nominal_speed": False,
    "lines": [_LINE],
    "checks": ["Listen at the housing: a steady rattle in the load zone fits."],
}
_BURST = {
    "id": "b7c0d9a4-8f4d-4f0c-8a55-6f2b0c0c8d10",
    "point": "drive end, radial",
    "taken_at": "2026-11-26T10:00:00Z",
    "sample_rate_hz": 12000.0,
    "n_samples": 48000,
    "unit": "g",
    "speed_rpm": 1797.0,
    "load_percent": 80.0,
    "figures": _FIGURES,
    "diagnosis": _DIAGNOSIS,
}


class NewBurstSerializer(serializers.Serializer[dict[str, object]]):
    """Acceleration sampled evenly. For the API's description: each burst is checked by itself."""

    point = serializers.CharField(max_length=80)
    taken_at = serializers.DateTimeField(help_text="With its zone; at most 24 h ahead.")
    sample_rate_hz = serializers.FloatField(min_value=RATE_HZ[0], max_value=RATE_HZ[1])
    samples = serializers.ListField(
        child=serializers.FloatField(), min_length=MIN_SAMPLES, max_length=MAX_SAMPLES
    )
    unit = serializers.ChoiceField(VibrationBurst.Unit.choices, default="g")
    speed_rpm = serializers.FloatField(required=False, allow_null=True, min_value=1.0)
    load_percent = serializers.FloatField(required=False, allow_null=True, min_value=0.0)


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "One burst",
            description="Shortened: a burst has at least 256 samples.",
            value={
                "bursts": [
                    {
                        "point": "drive end, radial",
                        "taken_at": "2026-11-26T10:00:00Z",
                        "sample_rate_hz": 12000,
                        "unit": "g",
                        "speed_rpm": 1797,
                        "samples": [0.012, -0.034, 0.051],
                    }
                ]
            },
            request_only=True,
        )
    ]
)
class BurstUploadSerializer(serializers.Serializer[dict[str, object]]):
    """Bursts of one machine; a body has at most 5 MB."""

    bursts = NewBurstSerializer(many=True)


class BurstBodySerializer(serializers.Serializer[dict[str, object]]):
    """What is read of an upload before its bursts are looked at one by one."""

    bursts = serializers.ListField(
        child=serializers.JSONField(), min_length=1, max_length=MAX_BURSTS
    )


class RefusedBurstSerializer(serializers.Serializer[object]):
    """A burst that was not stored; `index` is its place in the upload, from 0."""

    index = serializers.IntegerField()
    code = serializers.CharField()
    message = serializers.CharField()


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Two stored, one refused",
            value={
                "stored": [
                    "b7c0d9a4-8f4d-4f0c-8a55-6f2b0c0c8d10",
                    "0d2b2c55-0c2f-4a43-9df4-4d2f0f6e1f7a",
                ],
                "n_duplicates": 0,
                "refused": [
                    {
                        "index": 2,
                        "code": "bad_length",
                        "message": "A burst has 256 to 262,144 samples in a list.",
                    }
                ],
            },
            response_only=True,
        )
    ]
)
class BurstReceiptSerializer(serializers.Serializer[object]):
    """What became of an upload; ids in the order sent."""

    stored = serializers.ListField(child=serializers.UUIDField())
    n_duplicates = serializers.IntegerField()
    refused = RefusedBurstSerializer(many=True)


class ZoneSerializer(serializers.Serializer[dict[str, object]]):
    """Where the velocity stands, by the limits of the edition that is named."""

    name = serializers.ChoiceField(["A", "B", "C", "D"])
    words = serializers.CharField()
    limits_mm_s = serializers.ListField(child=serializers.FloatField())
    edition = serializers.CharField()


class FiguresSerializer(serializers.Serializer[dict[str, object]]):
    """Of acceleration without its mean, and RMS velocity (10 to 1000 Hz; from 2 Hz below 600 rpm).

    `velocity_mm_s` is null where the burst is too short or too slow for it, `zone` where the
    machine's size is not known."""

    rms_m_s2 = serializers.FloatField()
    peak_m_s2 = serializers.FloatField()
    crest = serializers.FloatField()
    kurtosis = serializers.FloatField()
    velocity_mm_s = serializers.FloatField(allow_null=True)
    zone = ZoneSerializer(allow_null=True)


class DefectLineSerializer(serializers.Serializer[dict[str, object]]):
    """Harmonics of one defect frequency in the envelope spectrum."""

    part = serializers.CharField()
    name = serializers.CharField()
    expected_hz = serializers.FloatField()
    found_hz = serializers.ListField(child=serializers.FloatField())
    above_db = serializers.ListField(child=serializers.FloatField())


class DiagnosisSerializer(serializers.Serializer[dict[str, object]]):
    """What the envelope says of the bearing; `damaged` is null where no lines stand out."""

    damaged = serializers.CharField(allow_null=True)
    sentence = serializers.CharField()
    speed_rpm = serializers.FloatField(allow_null=True)
    is_nominal_speed = serializers.BooleanField()
    lines = DefectLineSerializer(many=True)
    checks = serializers.ListField(child=serializers.CharField())


@extend_schema_serializer(
    examples=[OpenApiExample("A damaged outer race", value=_BURST, response_only=True)]
)
class BurstSerializer(serializers.ModelSerializer[VibrationBurst]):
    """A burst with what was found in it. `unit` is the one it was sent in, figures are SI."""

    figures = FiguresSerializer(read_only=True)
    diagnosis = DiagnosisSerializer(read_only=True)

    class Meta:
        model = VibrationBurst
        fields = (
            "id",
            "point",
            "taken_at",
            "sample_rate_hz",
            "n_samples",
            "unit",
            "speed_rpm",
            "load_percent",
            "figures",
            "diagnosis",
        )


class MarkSerializer(serializers.Serializer[object]):
    """A line drawn in: where it was read, or where it is expected (then without a height)."""

    part = serializers.CharField()
    name = serializers.CharField()
    harmonic = serializers.IntegerField()
    hz = serializers.FloatField()
    above_db = serializers.FloatField(allow_null=True)
    stands_out = serializers.BooleanField()


class SpectrumSerializer(serializers.Serializer[dict[str, object]]):
    """At most 2,000 lines: of neighbours the highest, at its frequency."""

    frequency_hz = serializers.ListField(child=serializers.FloatField())
    amplitude_g = serializers.ListField(child=serializers.FloatField())
    band_hz = serializers.ListField(
        child=serializers.FloatField(), min_length=2, max_length=2, allow_null=True,
        help_text="Of an envelope spectrum: the band that was demodulated.",
    )  # fmt: skip
    marks = MarkSerializer(many=True)


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "A damaged outer race",
            description="The spectra are shortened.",
            value={
                **_BURST,
                "spectrum": {
                    "frequency_hz": [0.0, 29.95, 3400.0],
                    "amplitude_g": [0.0, 0.04, 0.11],
                    "band_hz": None,
                    "marks": [],
                },
                "envelope": {
                    "frequency_hz": [0.0, 107.0, 214.0],
                    "amplitude_g": [0.0, 0.12, 0.09],
                    "band_hz": [3000.0, 3750.0],
                    "marks": [
                        {
                            "part": "outer race",
                            "name": "BPFO",
                            "harmonic": 1,
                            "hz": 107.0,
                            "above_db": 21.3,
                            "stands_out": True,
                        }
                    ],
                },
            },
            response_only=True,
        )
    ]
)
class BurstDetailSerializer(BurstSerializer):
    """A burst judged by what is known of its place now; spectra are null where only the figures
    were kept."""

    spectrum = SpectrumSerializer(allow_null=True, read_only=True)
    envelope = SpectrumSerializer(allow_null=True, read_only=True)

    class Meta(BurstSerializer.Meta):
        fields = (*BurstSerializer.Meta.fields, "spectrum", "envelope")  # type: ignore[assignment]
