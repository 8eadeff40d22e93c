//! Parameters of tasks: what they stand for, what rows make, and what is refused.

use cotec::plan::RasterFormulas;
use cotec::task::{Flags, JobFile, Parameter, Processor, Source};

fn parse(name: &str, text: &str) -> Result<JobFile, String> {
    JobFile::parse(&Source::new(name, text), &Flags::default(), &RasterFormulas)
        .map_err(|error| error.to_string())
}

fn task(fields: &str) -> Result<JobFile, String> {
    let text = format!("[products]\nprefix = \"\"\n[[task]]\n{fields}\n");
    parse("job.toml", &text)
}

fn error(fields: &str) -> String {
    task(fields)
        .err()
        .unwrap_or_else(|| panic!("accepted: {fields}"))
}

/// Name, output and formula or command of each task.
fn tasks(job: &JobFile) -> Vec<(String, String, String)> {
    job.tasks
        .iter()
        .map(|task| {
            let what = match &task.processor {
                Processor::Expr(text) => text.clone(),
                Processor::Run(argv) => {
                    let words: Vec<String> = argv.iter().map(ToString::to_string).collect();
                    words.join(" ")
                }
                other => format!("{other:?}"),
            };
            (task.name.clone(), task.output.clone(), what)
        })
        .collect()
}

fn strings(rows: &[[&str; 3]]) -> Vec<(String, String, String)> {
    let text = |one: &str| one.to_owned();
    (rows.iter().map(|[a, b, c]| (text(a), text(b), text(c)))).collect()
}

#[test]
fn a_table_is_one_row_and_its_values_stand_everywhere() {
    let job = task(
        r#"name = "t"
run = ["p", "--limit={limit}", "{mode}", "{deep}", "{B04}", "{out}", "{{limit}}"]
output = "{task}-{mode}.dat"
env = { MODE = "{mode}!", JSON = '{"a": {limit}, "b": {}}' }
parameters = { limit = 1.0, mode = "a {B04} {out}", deep = true }"#,
    )
    .unwrap();
    assert_eq!(
        tasks(&job),
        strings(&[[
            "t",
            "t-a {B04} {out}.dat",
            // Braces in a value are text, shown as a template would have them.
            "p --limit=1.0 a {{B04}} {{out}} true {B04} {out} {{limit}}"
        ]])
    );
    let task = &job.tasks[0];
    assert_eq!(task.bands, ["B04"]);
    assert_eq!(task.env["MODE"], "a {B04} {out}!");
    assert_eq!(task.env["JSON"], r#"{"a": 1.0, "b": {}}"#);
    assert_eq!(task.parameters["limit"], Parameter::Number(1.0));
    assert_eq!(task.parameters["deep"].as_bool(), Some(true));
    assert_eq!(task.parameters["mode"].as_str(), Some("a {B04} {out}"));
}

#[test]
fn a_list_of_tables_is_a_task_for_each_row() {
    let rows =
        "[[task.parameters]]\nlow = -1\nkind = \"a/b\"\n[[task.parameters]]\nlow = 2\nkind = \"c\"";
    let job = task(&format!(
        "name = \"t\"\nexpr = \"B04 * {{low}} + B08\"\n{rows}"
    ))
    .unwrap();
    let expected = strings(&[
        [
            "t,kind=a_b,low=-1",
            "t,kind=a_b,low=-1.tif",
            "B04 * (-1) + B08",
        ],
        ["t,kind=c,low=2", "t,kind=c,low=2.tif", "B04 * (2) + B08"],
    ]);
    assert_eq!(tasks(&job), expected);
    // A single row has its parameters in its name too, so that a second one does not rename it.
    let one = task("name = \"t\"\nexpr = \"B04\"\nparameters = [{ a = 1 }]").unwrap();
    assert_eq!(one.tasks[0].name, "t,a=1");
    let named = task(&format!("name = \"low{{low}}\"\nexpr = \"B04\"\n{rows}")).unwrap();
    assert_eq!(named.tasks[0].output, "low-1.tif");
    assert_ne!(job.tasks[0].recipe(), job.tasks[1].recipe());
    let json = parse(
        "job.json",
        r#"{"products": {"prefix": ""}, "task": [{"name": "t", "expr": "B04 + {a}",
            "parameters": [{"a": 1}, {"a": 2.5}]}]}"#,
    )
    .unwrap();
    assert_eq!(json.tasks[1].name, "t,a=2.5");
}

#[test]
fn lists_of_values_make_every_combination() {
    let job = task(
        "name = \"t\"\nexpr = \"B04 * {a} + {b}\"\n[task.parameters]\na = [1, 2]\nb = [10, 20.5]\nc = \"x\"",
    )
    .unwrap();
    let found: Vec<String> = job.tasks.into_iter().map(|task| task.name).collect();
    let expected = ["t,a=1,b=10", "t,a=1,b=20.5", "t,a=2,b=10", "t,a=2,b=20.5"];
    assert_eq!(found, expected);
}

#[test]
fn rows_that_cannot_be_told_apart_are_refused_with_their_place() {
    let rows = "parameters = [{ a = 1 }, { a = 2 }]";
    assert_eq!(
        error(&format!(
            "name = \"t\"\nexpr = \"B04 + {{a}}\"\noutput = \"r.tif\"\n{rows}"
        )),
        "job.toml:6:10: the tasks \"t,a=1\" and \"t,a=2\" would both write \"r.tif\"\n   |\n 6 | output = \"r.tif\"\n   |          ^^^^^^^\n   = let a parameter tell them apart, such as {a}, or give another `name` or `output`"
    );
    let shown = error("name = \"t\"\nexpr = \"B04\"\nparameters = [{ a = 1 }, { a = 1 }]");
    assert!(
        shown.contains("the tasks \"t,a=1\" and \"t,a=1\" would both write"),
        "{shown}"
    );
    let two =
        "name = \"t\"\nexpr = \"B04\"\n[[task]]\nname = \"t\"\noutput = \"u.tif\"\nexpr = \"B08\"";
    assert!(error(two).contains("are called \"t\""));
}

#[test]
fn what_is_no_parameter_is_refused_with_its_place() {
    let command = |parameters: &str, argument: &str| {
        error(&format!(
            "name = \"t\"\nlayout = \"objects\"\nobjects = [\"*\"]\nrun = [\"p\", \"{argument}\"]\nparameters = {parameters}"
        ))
    };
    assert_eq!(
        command("{ limit = 1 }", "{limt}"),
        "job.toml:7:14: unknown placeholder {limt}\n   |\n 7 | run = [\"p\", \"{limt}\"]\n   |              ^^^^^^\n   = nearest valid name: \"limit\""
    );
    for (parameters, says, column) in [
        ("{ out = 1 }", "{out} has a meaning already", 16),
        ("{ B04 = 1 }", "\"B04\" is a band", 16),
        ("{ \"a-b\" = 1 }", "\"a-b\" is no name of a parameter", 16),
        ("{ a = [] }", "\"a\" is a list of no value", 16),
        ("{ a = inf }", "a finite number", 16),
        ("{ a = 1, A = 2 }", "in capitals only", 14),
        ("{ a = { b = 1 } }", "or a list of them is needed here", 20),
        (
            "[{ a = [1] }]",
            "a text, a number, true or false is needed here",
            21,
        ),
        ("[{ a = 1 }, { b = 1 }]", "this row has no \"a\"", 26),
        (
            "[{ a = 1 }, { a = 1, b = 1 }]",
            "the first row has no \"b\"",
            35,
        ),
        ("[]", "has 1 to 10000 rows", 14),
        (
            "5",
            "a table of parameters, or a list of such tables is needed",
            14,
        ),
    ] {
        let shown = command(parameters, "x");
        assert!(shown.contains(says), "{parameters}: {shown}");
        let at = format!("job.toml:8:{column}: ");
        assert!(shown.starts_with(&at), "{parameters}: {shown}");
    }
    let text = error("name = \"t\"\nexpr = \"B04 + {a}\"\nparameters = { a = \"x\" }");
    assert!(
        text.starts_with("job.toml:5:15: the parameter \"a\" is no number"),
        "{text}"
    );
    let none = error("name = \"t\"\nexpr = \"B04 + {b}\"\nparameters = { a = 1 }");
    assert!(
        none.starts_with("job.toml:5:15: unknown placeholder {b}"),
        "{none}"
    );
    let many = error(
        "name = \"t\"\nexpr = \"B04\"\nparameters = { a = [1,2,3,4,5,6,7,8,9,10], b = [1,2,3,4,5,6,7,8,9,10], c = [1,2,3,4,5,6,7,8,9,10], d = [1,2,3,4,5,6,7,8,9,10], e = [1, 2] }",
    );
    assert!(many.contains("more than 10000 combinations"), "{many}");
}
