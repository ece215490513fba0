from engage.lib.metrics import Family, render


def test_family_has_help_type_and_a_line_per_sample():
    depth = Family("engage_depth", "How many wait.", [({"stage": "ingest"}, 3), ({}, 0.25)])
    assert render([depth]) == (
        "# HELP engage_depth How many wait.\n"
        "# TYPE engage_depth gauge\n"
        'engage_depth{stage="ingest"} 3\n'
        "engage_depth 0.25\n"
    )


def test_unknown_values_and_empty_families_are_left_out():
    assert render([Family("a", "A.", [({}, None)]), Family("b", "B.", [])]) == ""


def test_labels_are_escaped():
    text = render([Family("a", "A.", [({"name": 'a "b"\\\n'}, True)])])
    assert text.splitlines()[2] == r'a{name="a \"b\"\\\n"} 1'
