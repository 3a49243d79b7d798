"""An evaluation as a page of text, and as JSON."""

import json
from dataclasses import asdict

from app.copilot.evaluation.measure import Evaluation

LEAKS = "Possible data leaks: these values follow from another column, not from the text."


def as_json(found: Evaluation) -> str:
    return json.dumps(asdict(found), indent=2, ensure_ascii=False)


def as_text(found: Evaluation) -> str:
    """The metrics with what they mean, each share with its count."""
    parts = [_data(found), _quality(found), _per_class(found)]
    if found.curve:
        parts.append(_curve(found))
    if found.leaks:
        parts.append("\n".join([LEAKS, *(f"  - {leak}" for leak in found.leaks)]))
    return "\n\n".join(parts)


def _data(found: Evaluation) -> str:
    lines = [
        f"Rows                    {found.rows:>9,}",
        f"  without text or label {found.unusable:>9,}",
        f"  duplicates            {found.duplicates:>9,}",
        f"  texts with two labels {found.contradicted:>9,}",
        f"Categories              {found.classes:>9,}",
        f"Learned from            {found.trained_on:>9,}",
        f"Tested on               {found.quality.count:>9,}",
    ]
    if found.too_rare:
        rare = ", ".join(found.too_rare[:10])
        lines.append(f"Not enough rows to measure: {rare}")
    return "\n".join(lines)


def _quality(found: Evaluation) -> str:
    quality = found.quality
    right = "" if found.filled_in_right is None else f", {found.filled_in_right:.1%} correct"
    return "\n".join(
        [
            f"Majority baseline       {quality.majority:>9.3f}",
            f"Accuracy                {quality.accuracy:>9.3f}",
            f"Macro-F1                {quality.macro_f1:>9.3f}",
            f"Top-3 accuracy          {quality.top3:>9.3f}",
            f"Calibration error       {quality.calibration_error:>9.3f}",
            f"Coverage at 90%         {quality.coverage_90:>9.3f}",
            f"Coverage at 95%         {quality.coverage_95:>9.3f}",
            f"Filled in (from {found.threshold:.2f} on){found.filled_in:>10.3f}{right}",
            f"Training                {found.training_seconds:>9.1f} s",
            f"Time per prediction     {found.explained_ms:>9.1f} ms (median)",
            f"All of it               {found.seconds:>9.1f} s",
        ]
    )


def _per_class(found: Evaluation) -> str:
    width = max(8, *(len(one.name) for one in found.per_class))
    lines = [f"{'Category':<{width}}  {'count':>7}  precision  recall     F1"]
    lines += [
        f"{one.name:<{width}}  {one.count:>7,}  {one.precision:>9.3f}  {one.recall:>6.3f}"
        f"  {one.f1:>5.3f}"
        for one in found.per_class
    ]
    return "\n".join(lines)


def _curve(found: Evaluation) -> str:
    lines = ["Learned from   draws   accuracy   macro-F1"]
    lines += [
        f"{one.trained_on:>12,}   {one.draws:>5}   {one.accuracy:>8.3f}   {one.macro_f1:>8.3f}"
        for one in found.curve
    ]
    return "\n".join(lines)
