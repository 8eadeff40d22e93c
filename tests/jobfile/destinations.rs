//! `output` as an address of a store.

use cotec::plan::RasterFormulas;
use cotec::task::{Flags, JobFile, Source, Upload};

fn parse(fields: &str) -> Result<JobFile, String> {
    let text = format!("[products]\nprefix = \"\"\n[[task]]\n{fields}\n");
    let source = Source::new("job.toml", text);
    JobFile::parse(&source, &Flags::default(), &RasterFormulas).map_err(|error| error.to_string())
}

fn error(fields: &str) -> String {
    parse(fields)
        .err()
        .unwrap_or_else(|| panic!("accepted: {fields}"))
}

/// The uploads of the first task for a product `P` of the tile `T` and the date `D`.
fn uploads(fields: &str) -> Vec<(String, String)> {
    let job = parse(fields).unwrap_or_else(|error| panic!("{error}"));
    let task = &job.tasks[0];
    let destination = task.destination.as_ref().unwrap();
    assert_eq!(destination.bucket, "b");
    let value = |name: &str| match name {
        "product" => Some("P".to_owned()),
        "tile" => Some("T".to_owned()),
        "date" => Some("D".to_owned()),
        _ => None,
    };
    let uploads = destination.uploads(&task.result_files(), value).unwrap();
    let pair = |upload: Upload| (upload.file, upload.key);
    uploads.into_iter().map(pair).collect()
}

#[test]
fn files_have_their_names_below_a_prefix_or_a_key_and_the_main_one_is_last() {
    let pairs = |list: &[(&str, &str)]| -> Vec<(String, String)> {
        let own = |(file, key): &(&str, &str)| ((*file).to_owned(), (*key).to_owned());
        list.iter().map(own).collect()
    };
    assert_eq!(
        uploads("index = \"ndvi\"\noutput = \"s3://b/x/{product}/\""),
        pairs(&[("ndvi.png", "x/P/ndvi.png"), ("ndvi.tif", "x/P/ndvi.tif")])
    );
    assert_eq!(
        uploads("index = \"ndvi\"\noutput = \"s3://b/v1.2/{date}/{tile}/{product}-{task}.tif\""),
        pairs(&[
            ("ndvi.png", "v1.2/D/T/P-ndvi.png"),
            ("ndvi.tif", "v1.2/D/T/P-ndvi.tif")
        ])
    );
    assert_eq!(
        uploads(
            "name = \"t\"\nrun = [\"p\", \"{B04}\"]\noutput = \"s3://b/{product}{n}.x.json\"\nparameters = { n = 7 }"
        ),
        pairs(&[("t.json", "P7.x.json")])
    );
    assert_eq!(
        uploads(
            "name = \"t\"\nrun = [\"p\", \"{B04}\"]\ngroup_by = \"tile\"\noutput = \"s3://b/{tile}\""
        ),
        pairs(&[("t", "T")])
    );
}

#[test]
fn addresses_that_tell_jobs_not_apart_are_refused_with_their_place() {
    assert_eq!(
        error("index = \"ndvi\"\noutput = \"s3://b/results/\""),
        "job.toml:5:10: the results of all products would have the same key\n   |\n 5 | output = \"s3://b/results/\"\n   |          ^^^^^^^^^^^^^^^^^\n   = let {product} stand in it"
    );
    assert_eq!(
        error("index = \"ndvi\"\noutput = \"s3://b/{prodct}/\""),
        "job.toml:5:18: unknown placeholder {prodct}\n   |\n 5 | output = \"s3://b/{prodct}/\"\n   |                  ^^^^^^^^\n   = nearest valid name: \"product\""
    );
    for wrong in [
        "s3://",
        "s3://b",
        "s3://b/",
        "s3:///k/{product}",
        "s3://b//{product}",
        "s3://{product}/k",
    ] {
        let shown = error(&format!("index = \"ndvi\"\noutput = \"{wrong}\""));
        assert!(
            shown.starts_with("job.toml:5:10: this is no address"),
            "{shown}"
        );
    }
    let jpeg = error("index = \"ndvi\"\noutput = \"s3://b/{product}.jpg\"");
    assert!(jpeg.contains("a formula's result is a GeoTIFF"), "{jpeg}");
    let day = error(
        "name = \"t\"\nrun = [\"p\", \"{B04}\"]\ngroup_by = \"date\"\noutput = \"s3://b/{tile}/{product}/\"",
    );
    assert!(
        day.starts_with("job.toml:7:18: unknown placeholder {tile}"),
        "{day}"
    );
    // Two tasks, and two rows of one.
    let two = error(
        "index = \"ndvi\"\noutput = \"s3://b/{product}/x.tif\"\n[[task]]\nindex = \"evi\"\noutput = \"s3://b/{product}/x.tif\"",
    );
    assert!(
        two.contains("would both write \"s3://b/{product}/x.tif\""),
        "{two}"
    );
    let rows = error(
        "name = \"t\"\nexpr = \"B04 + {n}\"\noutput = \"s3://b/{product}.tif\"\nparameters = { n = [1, 2] }",
    );
    assert!(
        rows.starts_with("job.toml:6:10: the tasks \"t,n=1\" and \"t,n=2\""),
        "{rows}"
    );
    assert!(parse("name = \"t\"\nexpr = \"B04 + {n}\"\noutput = \"s3://b/{n}/{product}.tif\"\nparameters = { n = [1, 2] }").is_ok());
}
