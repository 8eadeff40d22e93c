//! A bucket behind a server, a home directory, and the real commands in it.

use std::fs;
use std::process::Command;

use crate::common::run::{Coord, Sandbox};
use crate::store_common::Served;

/// The products of a run, each one object, and a command that copies it.
const JOB: &str = r#"
[store]
bucket = "b"
[products]
prefix = ""
[[task]]
name = "t"
run = ["cp", "{B01}", "{out}"]
"#;

/// A sandbox whose `served` directory holds a bucket `b` with `products` objects.
pub struct World {
    pub sandbox: Sandbox,
    pub server: Served,
}

impl World {
    pub fn new(products: usize) -> World {
        let sandbox = Sandbox::new();
        fs::create_dir_all(sandbox.path("served/b")).unwrap();
        for number in 0..products {
            let key = format!("p{number:03}/B01.tif");
            sandbox.object("b", &key, format!("bytes of product {number}"));
        }
        sandbox.job_file(JOB);
        let server = Served::directory(&sandbox.path("served"));
        World { sandbox, server }
    }

    /// Writes a file below the home directory.
    pub fn write(&self, path: &str, text: &str) -> String {
        let path = self.sandbox.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Writes a script that `sh` runs, and gives the command.
    pub fn script(&self, name: &str, text: &str) -> String {
        format!("sh {}", self.write(name, text))
    }

    /// `cotec`, with nothing of this process's environment that it could depend on.
    pub fn cotec(&self, url: &str, env: &[(&str, &str)], args: &[&str]) -> Told {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cotec"));
        command
            .args(args)
            .current_dir(self.sandbox.path(""))
            .env_clear()
            .env("HOME", self.sandbox.path(""))
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("AWS_ENDPOINT_URL_S3", url)
            .envs(env.iter().copied());
        let output = command.output().unwrap();
        Told {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// `cotec ls` of the bucket, straight from the server behind.
    pub fn ls(&self, env: &[(&str, &str)], args: &[&str]) -> Told {
        let args = [&["ls", "--recursive", "s3://b"], args].concat();
        self.cotec(&self.server.url, env, &args)
    }

    /// A run, its store at `url`.
    pub fn run(&self, url: &str, env: &[(&str, &str)]) -> Coord {
        let coord = self.sandbox.coord().env("AWS_ENDPOINT_URL_S3", url);
        let coord = coord.env("AWS_EC2_METADATA_DISABLED", "false");
        env.iter()
            .fold(coord, |coord, (name, value)| coord.env(name, value))
    }
}

/// What a command said.
#[derive(Debug)]
pub struct Told {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Told {
    /// It listed as many keys.
    pub fn listed(&self, keys: usize) {
        assert_eq!((self.code, self.out.lines().count()), (0, keys), "{self:?}");
    }

    /// It ended with this code, and its message says all of this.
    pub fn refused(&self, code: i32, says: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        for what in says {
            assert!(self.err.contains(what), "{what}: {self:?}");
        }
    }
}
