//! What a wrong job file is answered with: one message, the place, the nearest valid name.

use cotec::plan::RasterFormulas;
use cotec::task::{Flags, JobFile, Source};

fn error(name: &str, text: &str, flags: &Flags) -> String {
    match JobFile::parse(&Source::new(name, text), flags, &RasterFormulas) {
        Ok(_) => panic!("accepted: {text}"),
        Err(error) => error.to_string(),
    }
}

/// A job file whose only fault is in its task.
fn task(fields: &str) -> String {
    let text = format!("[products]\nprefix = \"\"\n[[task]]\n{fields}\n");
    error("job.toml", &text, &Flags::default())
}

#[test]
fn unknown_names_show_place_and_nearest() {
    assert_eq!(
        task("indx = \"ndvi\""),
        "job.toml:4:1: unknown field \"indx\"\n   |\n 4 | indx = \"ndvi\"\n   | ^^^^\n   = nearest valid name: \"index\""
    );
    assert_eq!(
        task("index = \"nvdi\""),
        "job.toml:4:10: no index is called \"nvdi\"\n   |\n 4 | index = \"nvdi\"\n   |          ^^^^\n   = nearest valid name: \"ndvi\"\n   = any other formula can be given as `expr`"
    );
    assert_eq!(
        task("name = \"x\"\nlayout = \"sentinel2-safe\"\nexpr = \"(B8 - B04) / B04\""),
        "job.toml:6:10: Sentinel-2 has no band \"B8\"\n   |\n 6 | expr = \"(B8 - B04) / B04\"\n   |          ^^\n   = nearest valid name: \"B08\""
    );
    assert_eq!(
        task(
            "name = \"x\"\nlayout = \"sentinel2-safe\"\nrun = [\"a\", \"-o{ou}\"]\nbands = [\"B04\"]"
        ),
        "job.toml:6:16: unknown placeholder {ou}\n   |\n 6 | run = [\"a\", \"-o{ou}\"]\n   |                ^^^^\n   = nearest valid name: \"out\""
    );
    assert_eq!(
        task("name = \"x\"\nrun = [\"awk\", \"{print $1}\", \"{B04}\"]"),
        "job.toml:5:16: unknown placeholder {print $1}\n   |\n 5 | run = [\"awk\", \"{print $1}\", \"{B04}\"]\n   |                ^^^^^^^^^^\n   = a brace of the command's own is written twice: {{ or }}"
    );
    assert_eq!(
        task("index = \"ndvi\"\nlayout = \"perband\""),
        "job.toml:5:10: \"perband\" is none of auto, sentinel2-safe, per-band, objects\n   |\n 5 | layout = \"perband\"\n   |          ^^^^^^^^^\n   = nearest valid name: \"per-band\""
    );
    assert_eq!(
        task("index = \"ndvi\"\nwindow = { col = 0, row = 0, widht = 5, height = 5 }"),
        "job.toml:5:30: unknown field \"widht\"\n   |\n 5 | window = { col = 0, row = 0, widht = 5, height = 5 }\n   |                              ^^^^^\n   = nearest valid name: \"width\""
    );
}

#[test]
fn limits_of_the_endpoint_say_what_is_allowed() {
    let limits = |fields: &str| {
        let text = format!("[endpoint]\n{fields}\n[[task]]\nindex = \"ndvi\"\n");
        error("job.toml", &text, &Flags::default())
    };
    assert_eq!(
        limits("connections = 5_000"),
        "job.toml:2:15: `connections` is 1 to 1024, or 0 for no limit, and not 5000\n   |\n 2 | connections = 5_000\n   |               ^^^^^"
    );
    assert_eq!(
        limits("requests_per_minute = 2000\nbytes_per_second = 1000"),
        "job.toml:3:20: `bytes_per_second` is at least 65536 bytes a second, or 0 for no limit, and not 1000\n   |\n 3 | bytes_per_second = 1000\n   |                    ^^^^"
    );
    assert_eq!(
        limits("conections = 4"),
        "job.toml:2:1: unknown field \"conections\"\n   |\n 2 | conections = 4\n   | ^^^^^^^^^^\n   = nearest valid name: \"connections\""
    );
    assert_eq!(
        limits("bytes_per_month = -1"),
        "job.toml:2:19: a whole number from 0 is needed here, not integer `-1`\n   |\n 2 | bytes_per_month = -1\n   |                   ^^"
    );
}

#[test]
fn json_has_places_too() {
    let text = "{\n  \"products\": {\"prefix\": \"\"},\n  \"task\": [{\"index\": \"ndvi\", \"resample\": \"neerest\"}]\n}";
    assert_eq!(
        error("job.json", text, &Flags::default()),
        "job.json:3:42: \"neerest\" is none of nearest, bilinear, average\n   |\n 3 |   \"task\": [{\"index\": \"ndvi\", \"resample\": \"neerest\"}]\n   |                                          ^^^^^^^^^\n   = nearest valid name: \"nearest\""
    );
    let text = "{\"product\": {}}";
    assert_eq!(
        error("job", text, &Flags::default()),
        "job:1:3: unknown field \"product\"\n   |\n 1 | {\"product\": {}}\n   |   ^^^^^^^\n   = nearest valid name: \"products\""
    );
}

#[test]
fn flags_are_shown_like_files() {
    let flags = Flags {
        indices: vec!["ndvi,nddi45".into()],
        products: vec!["P".into()],
        ..Flags::default()
    };
    assert_eq!(
        error("", "", &flags),
        "--index:1:6: no index is called \"nddi45\"\n   |\n 1 | ndvi,nddi45\n   |      ^^^^^^\n   = nearest valid name: \"ndi45\"\n   = any other formula can be given as `expr`"
    );
    let none = error("command line", "", &Flags::default());
    assert_eq!(
        none,
        "there is nothing to do: no task is given; write a [[task]] into the job file, or say --index ndvi"
    );
}

#[test]
fn a_formula_points_at_its_character() {
    let shown = task("name = \"x\"\nexpr = \"(B08 - B04 / B04\"");
    assert!(shown.starts_with("job.toml:5:"), "{shown}");
    assert!(shown.contains("5 | expr = \"(B08 - B04 / B04\""), "{shown}");
    let shown = task("name = \"x\"\nexpr = \"B08 + sqr(B04)\"");
    assert!(shown.starts_with("job.toml:5:15: "), "{shown}");
    assert!(shown.contains("nearest valid name: \"sqrt\""), "{shown}");
}

#[test]
fn wrong_values_say_what_is_needed() {
    for (fields, start) in [
        (
            "index = 5",
            "job.toml:4:9: a string is needed here, not integer `5`",
        ),
        ("", "job.toml:3:1: the task has no processor"),
        (
            "index = \"ndvi\"\nexpr = \"B04\"",
            "job.toml:5:8: a task has one of",
        ),
        (
            "index = \"ndvi\"\nrun = [\"a\"]",
            "job.toml:5:7: a task has one of",
        ),
        (
            "expr = \"B04\"",
            "job.toml:3:1: a task with `expr` or `run` needs a `name`",
        ),
        (
            "name = \"x\"\nexpr = \"1 + 1\"",
            "job.toml:5:8: the formula uses no band",
        ),
        (
            "index = \"ndvi\"\nname = \"../x\"",
            "job.toml:5:8: \"../x\" cannot name a task",
        ),
        (
            "index = \"ndvi\"\nname = \"a\\u0000\"",
            "job.toml:5:8: \"a\\0\" cannot name a task",
        ),
        (
            "index = \"ndvi\"\noutput = \"..\"",
            "job.toml:5:10: \"..\" cannot name a result",
        ),
        (
            "index = \"ndvi\"\noutput = \"x.png\"",
            "job.toml:5:10: a formula's result is a GeoTIFF",
        ),
        (
            "index = \"ndvi\"\nresolution = 0",
            "job.toml:5:14: `resolution` is a number of metres",
        ),
        (
            "index = \"ndvi\"\nresolution = nan",
            "job.toml:5:14: `resolution` is a number of metres",
        ),
        (
            "index = \"ndvi\"\nbbox = [1, 2, 3]",
            "job.toml:5:8: an array of length 4 is needed here, not 3 values",
        ),
        (
            "index = \"ndvi\"\nbbox = [3, 2, 1, 4]",
            "job.toml:5:8: the box is empty",
        ),
        (
            "index = \"ndvi\"\nwindow = { col = 0, row = 0, width = 0, height = 1 }",
            "job.toml:5:10: the window is empty",
        ),
        (
            "index = \"ndvi\"\nwindow = { col = -1, row = 0, width = 1, height = 1 }",
            "job.toml:5:18: a whole number from 0 is needed here, not integer `-1`",
        ),
        (
            "index = \"ndvi\"\nwindow = { col = 0 }",
            "job.toml:5:10: the field \"row\" is missing",
        ),
        (
            "index = \"ndvi\"\nscale = 0",
            "job.toml:5:9: these numbers make no reflectance",
        ),
        (
            "index = \"ndvi\"\noffset = 1",
            "job.toml:5:10: `offset` goes with a `scale`",
        ),
        (
            "index = \"ndvi\"\nscale = 1\nadd_offset = 1",
            "job.toml:6:14: give `scale` and `offset`, or",
        ),
        (
            "index = \"ndvi\"\nlayout = \"objects\"",
            "job.toml:4:9: band B08 cannot be found",
        ),
        (
            "index = \"ndvi\"\nobjects = [\"[\"]",
            "job.toml:5:11: \"[\" is no glob",
        ),
        (
            "name = \"x\"\nrun = []",
            "job.toml:5:7: `run` needs a program",
        ),
        (
            "name = \"x\"\nrun = [\"a\", \"{\"]",
            "job.toml:5:14: { without }",
        ),
        (
            "name = \"x\"\nrun = [\"a\", \"-i{inputs}\"]\nbands=[\"B04\"]",
            "job.toml:5:16: {inputs} must be an argument of its own",
        ),
        (
            "name = \"x\"\nrun = [\"a\"]",
            "job.toml:5:7: the task \"x\" has no input",
        ),
        (
            "index = \"ndvi\"\nenv = { AWS_PROFILE = \"x\" }",
            "job.toml:5:9: a processor gets no AWS_ variable",
        ),
        (
            "index = \"ndvi\"\nproducts = { names = [\"s3://b/x\"] }",
            "job.toml:5:23: a key prefix is needed here",
        ),
        (
            "index = \"ndvi\"\nproducts = {}",
            "job.toml:5:12: no products are named here",
        ),
        (
            "index = \"ndvi\"\nproducts = { match = \"a/b\" }",
            "job.toml:5:22: `match` is a glob on the product's name",
        ),
    ] {
        let shown = task(fields);
        assert!(shown.starts_with(start), "{fields}\n{shown}");
    }
}

#[test]
fn tasks_may_not_write_the_same_file() {
    let text = "[products]\nprefix=\"\"\n[[task]]\nindex = \"ndvi\"\n[[task]]\nname = \"other\"\nrun = [\"a\", \"{B04}\"]\noutput = \"ndvi.png\"";
    assert!(error("job.toml", text, &Flags::default()).starts_with(
        "job.toml:8:10: the tasks \"ndvi\" and \"other\" would both write \"ndvi.png\""
    ));
    let text = "[products]\nprefix=\"\"\n[[task]]\nindex = \"ndvi\"\n[[task]]\nindex = \"ndvi\"";
    assert!(error("job.toml", text, &Flags::default()).contains("would both write \"ndvi.tif\""));
}

#[test]
fn stores_and_products_are_checked() {
    for (text, start) in [
        (
            "[store]\nsample = { products = 0 }\n[[task]]\nindex = \"ndvi\"",
            "job.toml:2:10: a sample has 1 to 1000 products",
        ),
        (
            "[store]\nsample = 3\n",
            "job.toml:2:10: true, false or a table such as { products = 4 } is needed here",
        ),
        (
            "[store]\nsample = { product = 3 }\n",
            "job.toml:2:12: unknown field \"product\"",
        ),
        (
            "[store]\nsample = true\nbucket = \"b\"\n",
            "job.toml:2:10: `sample` is a store of its own",
        ),
        (
            "[store]\nbucket = \"\"\n",
            "job.toml:2:10: `bucket` is empty",
        ),
        (
            "[store]\nendpont = \"x\"\n",
            "job.toml:2:1: unknown field \"endpont\"",
        ),
        (
            "[store]\naccess_key = \"x\"\n",
            "job.toml:2:1: unknown field \"access_key\"",
        ),
        (
            "workers = 0\n",
            "job.toml:1:11: at least one worker is needed",
        ),
        ("connections = \"automatic\"\n", "job.toml:1:15: "),
        ("connections = 0\n", "job.toml:1:15: "),
        (
            "[[task]]\nindex = \"ndvi\"",
            "job.toml:1:1: the task \"ndvi\" has no products",
        ),
        (
            "out = \"\"\n[products]\nprefix = \"\"\n[[task]]\nindex = \"ndvi\"",
            "job.toml:1:7: `out` is no path",
        ),
        ("out = \"x\n", "job.toml:1:9: this is not TOML"),
    ] {
        let shown = error("job.toml", text, &Flags::default());
        assert!(shown.starts_with(start), "{text}\n{shown}");
    }
}

#[test]
fn a_file_that_cannot_be_read_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("job.toml");
    let read = || {
        JobFile::read(&path, &Flags::default(), &RasterFormulas)
            .unwrap_err()
            .to_string()
    };
    assert!(read().contains("job.toml cannot be read"));
    std::fs::write(&path, b"out = \"x\"\nstaging = \"\xff\"\n").unwrap();
    assert!(
        read().contains("job.toml:2:12: this is not UTF-8 text"),
        "{}",
        read()
    );
}

#[test]
fn limits_of_commands_are_checked() {
    for (line, said) in [
        ("timeout = 0", "number of seconds above 0"),
        ("timeout = -1.5", "number of seconds above 0"),
        ("timeout = 1e12", "30 days at most"),
        ("memory = \"lots\"", "such as \"4GiB\""),
        ("memory = \"0\"", "such as \"4GiB\""),
        ("retries = 101", "100 times at most"),
    ] {
        let text = format!(
            "[products]\nprefix = \"\"\n[[task]]\nname = \"t\"\nrun = [\"true\", \"{{B04}}\"]\n{line}\n"
        );
        let message = error("cotec.toml", &text, &Flags::default());
        assert!(message.contains(said), "{line}: {message}");
        assert!(message.contains(line), "{line}: {message}");
    }
    let text = "[products]\nprefix = \"\"\n[[task]]\nindex = \"ndvi\"\nmemory = \"1GiB\"\n";
    assert!(error("cotec.toml", text, &Flags::default()).contains("has no `run`"));
}
