//! What the table carries for one job, as JSON.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::document::Radiometry;

/// All that a worker needs of one job beyond its task.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct JobPayload {
    /// The product's name in this run, or that of the group of products: unique, one path
    /// component, the directory of its results.
    pub product: String,
    /// The key prefix of the product, with a trailing slash; empty for a group.
    pub prefix: String,
    /// The objects that the job needs, in the order of the inputs registered with it.
    pub inputs: Vec<PayloadInput>,
    /// The bands by the name that the task uses.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub bands: BTreeMap<String, BandRef>,
    /// The products of a group, in the order of the plan; empty for a job on one product.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<Member>,
    /// What band values mean in this job; `dn` where no reflectance metadata was found.
    pub radiometry: Radiometry,
    /// Sentences for the user.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The result files and where they go in a store, in the order of their uploads; empty where
    /// they stay on this machine.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uploads: Vec<Upload>,
    /// What decides the job's result, as a hash: a later run knows by it whether the job is still
    /// the same.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub recipe: String,
}

/// A file of a result that goes to a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    /// Its name in the directory that the processor writes to.
    pub file: String,
    /// Its key.
    pub key: String,
}

/// A file of a result as the store has confirmed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uploaded {
    /// `s3://bucket/key`.
    pub url: String,
    /// Its bytes.
    pub size: u64,
    /// Its ETag without quotes, where the store says one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
}

/// A product of a group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// Its name in this run.
    pub product: String,
    /// Its key prefix, with a trailing slash.
    pub prefix: String,
    /// Its bands by the name that the task uses.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub bands: BTreeMap<String, BandRef>,
}

/// One object that a job needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PayloadInput {
    /// The object's key.
    pub key: String,
    /// What it is to the job.
    pub role: Role,
}

/// What an object is to a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The pixels of a band.
    Band,
    /// A metadata file of the product.
    Metadata,
    /// An object named by one of the task's `objects` globs.
    Object,
}

/// Where a job finds one band, and how its digital numbers become reflectance.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BandRef {
    /// The position in [`JobPayload::inputs`].
    pub input: usize,
    /// Metres per pixel as the product's names say; `None` where they do not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolution: Option<f64>,
    /// The band that the pixels really are of, where another one stands in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stands_in: Option<String>,
    /// reflectance = (digital number + `add_offset`) / `quantification`; `None`: digital numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantification: Option<f64>,
    /// See `quantification`; given whenever that is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub add_offset: Option<f64>,
}

impl JobPayload {
    /// The recipe in the bytes of a payload; empty if they have none.
    pub fn recipe_of(bytes: &[u8]) -> String {
        #[derive(Deserialize)]
        struct Recipe {
            #[serde(default)]
            recipe: String,
        }
        serde_json::from_slice(bytes).map_or_else(|_| String::new(), |found: Recipe| found.recipe)
    }

    /// The bytes that stand in the table.
    ///
    /// # Errors
    /// None for payloads made by the planner; JSON has no form for a number that is not finite.
    pub fn to_bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    /// Reads what [`JobPayload::to_bytes`] wrote, and checks that each band's input exists.
    ///
    /// # Errors
    /// The bytes are no payload, or a band names an input that is not there.
    pub fn from_bytes(bytes: &[u8]) -> Result<JobPayload, serde_json::Error> {
        let payload: JobPayload = serde_json::from_slice(bytes)?;
        let inputs = payload.inputs.len();
        let of_members = payload.members.iter().flat_map(|member| &member.bands);
        let mut bands = payload.bands.iter().chain(of_members);
        match bands.find(|(_, band)| band.input >= inputs) {
            None => Ok(payload),
            Some((name, band)) => Err(serde::de::Error::custom(format!(
                "band {name} names input {} of {inputs}",
                band.input
            ))),
        }
    }

    /// The key of a band's object; of a group the first product's.
    pub fn band_key(&self, band: &str) -> Option<&str> {
        self.band_keys(band).first().copied()
    }

    /// The keys of a band's objects: one, or one for each product of a group that has the band.
    pub fn band_keys(&self, band: &str) -> Vec<&str> {
        let of_members = self.members.iter().map(|member| &member.bands);
        let all = std::iter::once(&self.bands).chain(of_members);
        let found = all.filter_map(|bands| self.inputs.get(bands.get(band)?.input));
        found.map(|input| input.key.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_comes_back_and_a_bad_one_is_refused() {
        let mut payload = JobPayload {
            product: "P".into(),
            prefix: "a/P/".into(),
            inputs: vec![PayloadInput {
                key: "a/P/B04.tif".into(),
                role: Role::Band,
            }],
            radiometry: Radiometry::Dn,
            ..JobPayload::default()
        };
        payload.bands.insert("B04".into(), BandRef::default());
        let bytes = payload.to_bytes().unwrap();
        let text = String::from_utf8(bytes.clone()).unwrap();
        assert_eq!(
            text,
            r#"{"product":"P","prefix":"a/P/","inputs":[{"key":"a/P/B04.tif","role":"band"}],"bands":{"B04":{"input":0}},"radiometry":"dn"}"#
        );
        assert_eq!(JobPayload::from_bytes(&bytes).unwrap(), payload);
        assert_eq!(payload.band_key("B04"), Some("a/P/B04.tif"));
        let bad = text.replace("\"input\":0", "\"input\":1");
        assert!(JobPayload::from_bytes(bad.as_bytes()).is_err());
    }
}
