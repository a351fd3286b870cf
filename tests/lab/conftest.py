def pytest_configure(config):
    config.addinivalue_line("markers", "lab: boots hosts: needs root, Debian 12, and minutes if there is no image yet")
