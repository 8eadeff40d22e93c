//! Runs of the real command at the edges: few and many jobs and objects, odd keys, objects that
//! change or vanish, and directories that cannot be written.

mod changes;
mod counts;
mod keys;
mod limits;
mod many;
mod memory;
mod places;
mod reuse;

/// A job file whose task copies a product's staged directory.
fn copy_directory(names: &[impl AsRef<str>]) -> String {
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    format!(
        r#"
        [products]
        names = {names}
        [[task]]
        name = "copy"
        output = "copy"
        objects = ["**"]
        run = ["cp", "-r", "{{product_dir}}", "{{out}}"]
        "#,
        names = serde_json::to_string(&names).unwrap()
    )
}

/// A job file whose task copies the only object of each product below the bucket.
const COPY_ONE: &str = r#"
    [products]
    prefix = ""
    [[task]]
    name = "copy"
    output = "copy"
    objects = ["*"]
    run = ["cp", "{inputs}", "{out}"]
"#;
