"""Tables of results: the two forms of CSV files, and what each mistake in one is told as."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mmext.analysis.result_table import ResultTable, read_csv, table_of
from mmext.errors import UserError


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    return tmp_path / 'results.csv'


@pytest.mark.parametrize('text', ['data set,a,b\nx,1,2.5\n\ny,3,4%\n', 'Dataset;a;b\nx;1;2.5\ny;3;4\n',
                                  '\ufeff\ta\tb\r\nx\t1\t2.5\r\ny\t3\t4\r\n', ',a,b\n"x",1 , 2.50\ny,3e0,4'])
def test_the_wide_form(csv: Path, text: str) -> None:
    csv.write_text(text, 'utf-8')
    table = read_csv(csv)
    assert (table.methods, table.data_sets, table.metric) == (('a', 'b'), ('x', 'y'), '')
    assert table.values.tolist() == [[1, 2.5], [3, 4]]


def test_the_long_form(csv: Path) -> None:
    """In any order of lines and columns; several values of a cell are averaged."""
    csv.write_text('seed,Error,method,Data set\n0,1,a,x\n1,2,a,x\n0,4,b,y\n0,2.5,b,x\n0,3,a,y\n')
    table = read_csv(csv)
    assert (table.methods, table.data_sets, table.metric) == (('a', 'b'), ('x', 'y'), 'Error')
    assert table.repetitions == (1, 2)
    assert table.values.tolist() == [[1.5, 2.5], [3, 4]]
    csv.write_text('network,data,epochs,value\na,x,5,1\nb,x,9,2\n')
    assert read_csv(csv).metric == '' and read_csv(csv).values.tolist() == [[1, 2]]


def test_what_is_written_is_read(csv: Path) -> None:
    table = ResultTable(('a, b', 'c'), ('x', 'y;'), np.array([[1 / 3, 2], [1e-9, 4]]), 'accuracy/top1')
    csv.write_text(table.as_csv())
    again = read_csv(csv)
    assert (again.methods, again.data_sets, again.metric) == (table.methods, table.data_sets, table.metric)
    assert again.values == pytest.approx(table.values)


@pytest.mark.parametrize(('text', 'told'), [
    ('', 'no table of results; need a header'), ('data set,a,b\n', 'no table of results'), ('x\n1\n', 'no table'),
    ('data set,a,b\nx,1,2\ny,3\n', 'line 3: 2 cells, and the header has 3'),
    ('data set,a,b\nx,1,2\ny,3,\n', 'line 3: no value of b on y; ranks need every method on every data set'),
    ('data set,a,b\nx,1,two\n', "line 2: b on x is 'two', which is not a number"),
    ('data set,a,b\nx,1,nan\n', "line 2: b on x is 'nan', which is not a number"),
    ('data set,a,b\nx,1,94.3+-0.1\n', "b on x is '94.3+-0.1', which is not a number"),
    ('data set,a,a\nx,1,2\n', 'line 1: the method a occurs twice'),
    ('data set,a,\nx,1,2\n', 'line 1: a method has no name'),
    ('data set,a,b\nx,1,2\nx,3,4\n', 'line 3: the data set x occurs twice; for repetitions use the form method,'),
    ('data set,a,b\n,1,2\n', 'line 2: a data set has no name'),
    ('data set,a,"b\nx,1,2\n', 'not CSV'),
    ('method,dataset,value\na,x,1\nb,y,2\n', 'no value of b on x, a on y; ranks need'),
    ('method,dataset,value\na,x,\n', 'line 2: no value of a on x'),
    ('method,dataset,value\n,x,1\n', 'line 2: a method has no name'),
    ('method,dataset,top1,top5\na,x,1,2\n', 'columns method, dataset, top1, top5; name that of the results value'),
    ('method,dataset\na,x\n', 'name that of the results value')])
def test_mistakes(csv: Path, text: str, told: str) -> None:
    csv.write_text(text)
    with pytest.raises(UserError) as error:
        read_csv(csv)
    assert str(csv) in str(error.value) and told in str(error.value) and '\n' not in str(error.value)


def test_no_file(csv: Path) -> None:
    with pytest.raises(UserError, match='no such table of results'):
        read_csv(csv)


def test_names_keep_their_order() -> None:
    table = table_of({('y', 'b'): [1], ('y', 'a'): [2], ('x', 'a'): [3], ('x', 'b'): [4, 6]}, 'mine')
    assert (table.methods, table.data_sets, table.values.tolist()) == (('b', 'a'), ('y', 'x'), [[1, 2], [5, 3]])
