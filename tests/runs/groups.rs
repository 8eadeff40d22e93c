//! Jobs on groups of products: by tile, by date, with one object in many jobs.

use std::fs;

use crate::common::run::Sandbox;

const PRODUCTS: [(&str, &str, &str); 4] = [
    (
        "S2A_MSIL2A_20240401T105031_N0510_R051_T31TCJ_20240401T170000",
        "T31TCJ",
        "2024-04-01",
    ),
    (
        "S2A_MSIL2A_20240401T105031_N0510_R051_T31TDJ_20240401T170000",
        "T31TDJ",
        "2024-04-01",
    ),
    (
        "S2B_MSIL2A_20240406T105031_N0510_R051_T31TCJ_20240406T170000",
        "T31TCJ",
        "2024-04-06",
    ),
    (
        "S2B_MSIL2A_20240406T105031_N0510_R051_T31TDJ_20240407T170000",
        "T31TDJ",
        "2024-04-06",
    ),
];

/// What every job writes: its group, its products, and what is in its files.
const RUN: &str = r#"run = ["sh", "-c", 'echo "$COTEC_JOB" >> runs; out="$0"; ( echo "$COTEC_PRODUCT$COTEC_PRODUCT_DIR"; for a in "$@"; do if [ -f "$a" ]; then cat "$a"; else echo "$a"; fi; done ) > "$out"', "{out}", "{product}", "{products}", "{B02}", "{B01}", "{inputs}"]
output = "{task}.txt""#;

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    for (product, _, _) in PRODUCTS {
        for band in ["B01", "B02"] {
            sandbox.object(
                "b",
                &format!("p/{product}/{band}.tif"),
                format!("{band} of {product}\n"),
            );
        }
    }
    let task =
        |name: &str, by: &str| format!("[[task]]\nname = \"{name}\"\n{RUN}\ngroup_by = \"{by}\"\n");
    sandbox.job_file(&format!(
        "workers = 2\n[store]\nbucket = \"b\"\n[products]\nprefix = \"p\"\n{}{}[[task]]\nname = \"each\"\nrun = [\"sh\", \"-c\", \"cp $1 $0\", \"{{out}}\", \"{{B01}}\"]\n",
        task("mosaic", "tile"),
        task("day", "date"),
    ));
    sandbox
}

/// What a job on these products writes.
fn expected(group: &str, products: &[&str]) -> String {
    let mut text = format!("{group}\n{group}\n");
    for product in products {
        text += &format!("{product}\n");
    }
    for band in ["B02", "B01"] {
        for product in products {
            text += &format!("{band} of {product}\n");
        }
    }
    // All inputs, product by product, in the order in which the task names the bands.
    for product in products {
        text += &format!("B02 of {product}\nB01 of {product}\n");
    }
    text
}

#[test]
fn a_job_takes_all_products_of_its_tile_or_date_and_one_object_serves_many_jobs() {
    let sandbox = sandbox();
    let outcome = sandbox.coord().serve().expect(0);
    assert_eq!(outcome.count("/jobs/total"), 2 + 2 + 4);
    for (task, of) in [("mosaic", 1), ("day", 2)] {
        let key = |one: &(&'static str, &'static str, &'static str)| match of {
            1 => one.1,
            _ => one.2,
        };
        for group in PRODUCTS.iter().map(key) {
            let products: Vec<&str> = (PRODUCTS.iter().filter(|one| key(one) == group))
                .map(|one| one.0)
                .collect();
            assert_eq!(products.len(), 2);
            let path = format!("out/{group}/{task}.txt");
            let text = fs::read_to_string(sandbox.path(&path)).unwrap();
            assert_eq!(text, expected(group, &products), "{path}");
        }
    }
    // Each object is an input of two or three jobs, and came once.
    let bytes: usize = (PRODUCTS
        .iter()
        .map(|one| 2 * (one.0.len() + "B01 of \n".len())))
    .sum();
    assert_eq!(outcome.count("/objects/total"), 8);
    assert_eq!(outcome.count("/objects/requests"), 8);
    assert_eq!(outcome.count("/objects/bytes_fetched"), bytes as u64);

    // Another product of a tile and day: only the groups that it joins are done again.
    fs::remove_file(sandbox.path("runs")).unwrap();
    sandbox.coord().serve().expect(0);
    assert!(!sandbox.path("runs").exists());
    let more = "S2C_MSIL2A_20240401T110000_N0510_R051_T31TCJ_20240401T180000";
    for band in ["B01", "B02"] {
        sandbox.object("b", &format!("p/{more}/{band}.tif"), "x");
    }
    let outcome = sandbox.coord().serve().expect(0);
    let runs = fs::read_to_string(sandbox.path("runs")).unwrap();
    let mut runs: Vec<&str> = runs.lines().collect();
    runs.sort_unstable();
    assert_eq!(runs, ["day/2024-04-01", "mosaic/T31TCJ"]);
    assert_eq!(outcome.count("/jobs/earlier"), 2 + 4);
}

#[test]
fn a_product_that_belongs_to_no_group_is_named_and_the_others_are_done() {
    let sandbox = sandbox();
    sandbox.object("b", "p/20240401_unknown/B01.tif", "x");
    sandbox.object("b", "p/20240401_unknown/B02.tif", "y");
    // It has the date, and fails the group of that date, since a band of it is missing.
    sandbox.object("b", "p/20240406_half/B01.tif", "x");
    let outcome = sandbox.coord().serve().expect(1);
    let error = |job: &str| outcome.job(job)["error"].as_str().unwrap().to_owned();
    let unknown = error("mosaic/20240401_unknown");
    assert!(
        unknown.contains("the tile of the product \"20240401_unknown\" cannot be told"),
        "{unknown}"
    );
    let half = error("day/2024-04-06");
    assert!(
        half.contains(
            "its product \"20240406_half\" cannot be used: no file of the product has band B02"
        ),
        "{half}"
    );
    assert_eq!(outcome.job("mosaic/T31TCJ")["state"], "done");
    assert_eq!(outcome.job("day/2024-04-01")["state"], "done");
    assert_eq!(outcome.count("/jobs/failed"), 3);
}
