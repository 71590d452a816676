"""The table has the declared columns, costs little, and finds the rows of a process."""

import numpy as np
import pytest

from memtierd.regions.columns import COLUMNS, NEVER_MS
from memtierd.regions.table import RegionTable, concatenate, region_key
from memtierd.units import PAGE_BYTES
from tests.unit.regions.region_samples import as_pages, cut, table_of

MAX_BYTES = 64


def test_a_region_costs_at_most_64_bytes_on_four_nodes() -> None:
    table = RegionTable(4, 1000)
    arrays = [values for _, values in table.columns()] + [table.node_pages]
    assert sum(values.nbytes for values in arrays) == 1000 * table.bytes_per_region
    assert table.bytes_per_region <= MAX_BYTES


def test_declared_columns_are_the_attributes() -> None:
    table = RegionTable(2, 3)
    arrays = {name: values for name, values in vars(table).items() if isinstance(values, np.ndarray)}
    assert arrays.pop("node_pages").shape == (2, 3)
    assert arrays.keys() == {column.name for column in COLUMNS}
    assert set(RegionTable.__annotations__) == {*arrays, "node_pages"}
    for column in COLUMNS:
        assert arrays[column.name].dtype == column.dtype
        assert arrays[column.name].tolist() == [column.fresh] * 3


def test_each_column_is_declared_once_with_a_writer_and_a_unit() -> None:
    assert len({column.name for column in COLUMNS}) == len(COLUMNS)
    assert all(column.writer and column.unit for column in COLUMNS)


def test_rows_of_a_process() -> None:
    table = table_of(cut(3, [(0, 2), (2, 2)]), cut(1, [(5, 1)]), cut(7, []), cut(9, [(0, 4)]))
    assert as_pages(table) == [(1, 5, 1), (3, 0, 2), (3, 2, 2), (9, 0, 4)]
    assert [table.rows_of(process) for process in (1, 3, 9)] == [slice(0, 1), slice(1, 3), slice(3, 4)]
    for absent in (0, 2, 7, 65535):
        rows = table.rows_of(absent)
        assert rows.stop - rows.start == 0


@pytest.mark.parametrize(
    "rows", [slice(1, 3), np.array([1, 2]), np.array([False, True, True, False])], ids=["slice", "positions", "mask"]
)
def test_take_copies_the_chosen_rows(rows: object) -> None:
    table = table_of(cut(1, [(0, 1), (1, 2)]), cut(2, [(0, 3), (9, 4)]))
    table.node_pages[:] = np.arange(16).reshape(4, 4)
    table.heat[:] = [0, 1, 2, 3]
    chosen = table.take(rows)
    assert as_pages(chosen) == [(1, 1, 2), (2, 0, 3)]
    assert chosen.heat.tolist() == [1, 2]
    assert chosen.node_pages.tolist() == [[1, 2], [5, 6], [9, 10], [13, 14]]
    assert chosen.rows_of(2) == slice(1, 2)


def test_concatenate_sorts_by_process_and_keeps_everything() -> None:
    first, second = table_of(cut(2, [(0, 1), (4, 1)])), table_of(cut(1, [(7, 3)]))
    first.accesses[:], second.accesses[:] = [5, 6], [7]
    first.node_pages[1], second.node_pages[1] = [1, 2], [3]
    joined = concatenate([first, second])
    assert as_pages(joined) == [(1, 7, 3), (2, 0, 1), (2, 4, 1)]
    assert joined.accesses.tolist() == [7, 5, 6]
    assert joined.node_pages[1].tolist() == [3, 1, 2]
    assert joined.rows_of(2) == slice(1, 3)


def test_an_empty_table_has_no_rows_of_anything() -> None:
    table = RegionTable(4)
    table.index()
    assert len(table.take(slice(0, 0))) == 0
    assert table.rows_of(0) == slice(0, 0)
    assert table.present_pages.tolist() == []


def test_end_and_present_pages() -> None:
    table = table_of(cut(1, [(0, 2), (1 << 20, (1 << 32) - 1)]))
    table.node_pages[:, 1] = [1, 2, 3, 4]
    assert (table.end - table.start).tolist() == [2 * PAGE_BYTES, ((1 << 32) - 1) * PAGE_BYTES]
    assert table.present_pages.tolist() == [0, 10]


def test_times_shift_and_stop_at_the_epoch() -> None:
    table = table_of(cut(1, [(0, 1), (1, 1), (2, 1)]))
    table.last_access_ms[:] = [100, 1000, 5000]
    table.active_since_ms[:] = [50, NEVER_MS, 4000]
    table.not_before_ms[:] = [0, 1000, 9000]
    table.shift_times(1000)
    assert table.last_access_ms.tolist() == [0, 0, 4000]
    assert table.active_since_ms.tolist() == [0, NEVER_MS, 3000]
    assert table.not_before_ms.tolist() == [0, 0, 8000]


def test_keys_sort_by_process_then_address_up_to_the_last_user_address() -> None:
    last = (1 << 56) - PAGE_BYTES
    keys = [int(region_key(process, start)) for process in (0, 1, 65534) for start in (0, PAGE_BYTES, last, 1 << 56)]
    assert keys == sorted(set(keys))
