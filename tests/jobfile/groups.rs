//! `group_by`: what may be asked of a group of products, and what may not.

use cotec::plan::RasterFormulas;
use cotec::task::{Flags, GroupBy, JobFile, Source};

fn parse(fields: &str) -> Result<JobFile, String> {
    let text = format!("[products]\nprefix = \"\"\n[[task]]\nname = \"t\"\n{fields}\n");
    let source = Source::new("job.toml", text);
    JobFile::parse(&source, &Flags::default(), &RasterFormulas).map_err(|error| error.to_string())
}

fn error(fields: &str) -> String {
    parse(fields)
        .err()
        .unwrap_or_else(|| panic!("accepted: {fields}"))
}

#[test]
fn commands_take_groups_and_bands_stand_for_many_files() {
    let run = "run = [\"p\", \"{out}\", \"{product}.x\", \"{B04}\", \"{inputs}\", \"{products}\"]";
    for (text, by) in [("tile", GroupBy::Tile), ("date", GroupBy::Date)] {
        let job = parse(&format!("{run}\ngroup_by = \"{text}\"")).unwrap();
        assert_eq!(job.tasks[0].group_by, Some(by));
    }
}

#[test]
fn what_a_group_does_not_have_is_refused_with_its_place() {
    assert_eq!(
        error("expr = \"B04\"\ngroup_by = \"tile\""),
        "job.toml:6:12: a formula is computed on one product, not on a group\n   |\n 6 | group_by = \"tile\"\n   |            ^^^^^^\n   = use `run` with a program that takes many files, such as gdal_merge.py"
    );
    assert_eq!(
        error("run = [\"p\", \"-i{B04}\"]\ngroup_by = \"date\""),
        "job.toml:5:16: {B04} must be an argument of its own\n   |\n 5 | run = [\"p\", \"-i{B04}\"]\n   |                ^^^^^\n   = it stands for several, and becomes one argument for each"
    );
    for name in ["product_dir", "prefix"] {
        let shown = error(&format!(
            "run = [\"p\", \"{{{name}}}\"]\nbands = [\"B04\"]\ngroup_by = \"tile\""
        ));
        assert!(
            shown.starts_with(&format!(
                "job.toml:5:14: a group of products has no {{{name}}}"
            )),
            "{shown}"
        );
    }
    let shown = error("run = [\"p\", \"{B04}\"]\ngroup_by = \"tiles\"");
    assert!(shown.contains("nearest valid name: \"tile\""), "{shown}");
}
