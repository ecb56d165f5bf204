"""One thread: the inputs are so small that more of them only wait for each other."""

import pytest
import torch


@pytest.fixture(autouse=True, scope='package')
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
