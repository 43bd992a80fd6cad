"""How a benchmark tells what it found: a table in the terminal, rows in a CSV file."""

from pathlib import Path

import pandas as pd
import torch
from rich.console import Console
from rich.table import Table

__all__ = ["reported", "shown"]


def reported(title: str, rows: pd.DataFrame, output: Path | None) -> None:
    """Print the one table of a benchmark, with what it ran on, and write it where asked for."""
    shown(f"{title}, torch {torch.__version__}, {torch.get_num_threads()} threads", rows, Console(width=170))
    if output is not None:
        rows.to_csv(output, index=False)


def shown(title: str, frame: pd.DataFrame, console: Console) -> None:
    """Print a frame as a table."""
    table = Table(title=title, title_justify="left")
    for column in frame.columns:
        table.add_column(column, justify="left" if frame[column].dtype == object else "right")
    for row in frame.itertuples(index=False):
        table.add_row(*(written(each) for each in row))
    console.print(table)


def written(value: object) -> str:
    """Return a number with three digits, an empty cell for nothing.

    >>> written(0.12345), written(float("nan")), written(12345)
    ('0.123', '', '12,345')
    """
    if isinstance(value, float):
        return "" if value != value else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
