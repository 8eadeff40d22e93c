//! The metadata of a sample product, in the form of ESA's `MTD_MSIL2A.xml` and `MTD_TL.xml`.

use std::fmt::Write;

use super::sample_names::Names;
use super::sample_scene::{CORNER, Date, EPSG};

const NOTICE: &str = "SYNTHETIC: made by cotec's sample generator; no satellite took this image";

/// `MTD_MSIL2A.xml`; `images` are paths inside the product without extension.
pub(crate) fn user_product_xml(names: &Names, date: &Date, images: &[String]) -> String {
    let (product, day) = (&names.product, date.dashed());
    let mut files = String::new();
    for image in images {
        // Writing to a string cannot fail.
        let _ = writeln!(files, "            <IMAGE_FILE>{image}</IMAGE_FILE>");
    }
    let mut offsets = String::new();
    for band in 0..13 {
        let _ = writeln!(
            offsets,
            "        <BOA_ADD_OFFSET band_id=\"{band}\">-1000</BOA_ADD_OFFSET>"
        );
    }
    format!(
        r#"<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<!-- {NOTICE}. -->
<n1:Level-2A_User_Product xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/User_Product_Level-2A.xsd">
  <n1:General_Info>
    <Product_Info>
      <PRODUCT_START_TIME>{day}T10:50:31.000Z</PRODUCT_START_TIME>
      <PRODUCT_STOP_TIME>{day}T10:50:31.000Z</PRODUCT_STOP_TIME>
      <PRODUCT_URI>{product}</PRODUCT_URI>
      <PROCESSING_LEVEL>Level-2A</PROCESSING_LEVEL>
      <PRODUCT_TYPE>S2MSI2A</PRODUCT_TYPE>
      <PROCESSING_BASELINE>05.10</PROCESSING_BASELINE>
      <GENERATION_TIME>{day}T12:00:00.000000Z</GENERATION_TIME>
      <Datatake datatakeIdentifier="SYNTHETIC_{orbit:06}">
        <SPACECRAFT_NAME>SYNTHETIC</SPACECRAFT_NAME>
        <DATATAKE_TYPE>INS-NOBS</DATATAKE_TYPE>
        <DATATAKE_SENSING_START>{day}T10:50:31.000Z</DATATAKE_SENSING_START>
        <SENSING_ORBIT_NUMBER>51</SENSING_ORBIT_NUMBER>
        <SENSING_ORBIT_DIRECTION>DESCENDING</SENSING_ORBIT_DIRECTION>
      </Datatake>
      <Product_Organisation>
        <Granule_List>
          <Granule granuleIdentifier="SYNTHETIC_T31TXX" imageFormat="GeoTIFF">
{files}          </Granule>
        </Granule_List>
      </Product_Organisation>
    </Product_Info>
    <Product_Image_Characteristics>
      <Special_Values>
        <SPECIAL_VALUE_TEXT>NODATA</SPECIAL_VALUE_TEXT>
        <SPECIAL_VALUE_INDEX>0</SPECIAL_VALUE_INDEX>
      </Special_Values>
      <QUANTIFICATION_VALUES_LIST>
        <BOA_QUANTIFICATION_VALUE unit="none">10000</BOA_QUANTIFICATION_VALUE>
      </QUANTIFICATION_VALUES_LIST>
      <BOA_ADD_OFFSET_VALUES_LIST>
{offsets}      </BOA_ADD_OFFSET_VALUES_LIST>
    </Product_Image_Characteristics>
  </n1:General_Info>
</n1:Level-2A_User_Product>
"#,
        orbit = date.orbit
    )
}

/// `MTD_TL.xml` of a granule whose 10 m bands have `size` columns and rows.
pub(crate) fn tile_xml(names: &Names, date: &Date, size: usize) -> String {
    let mut sizes = String::new();
    let (x, y) = CORNER;
    for metres in [10, 20] {
        let pixels = size * 10 / metres;
        let _ = writeln!(
            sizes,
            "      <Size resolution=\"{metres}\"><NROWS>{pixels}</NROWS><NCOLS>{pixels}</NCOLS></Size>\n      \
             <Geoposition resolution=\"{metres}\"><ULX>{x}</ULX><ULY>{y}</ULY>\
             <XDIM>{metres}</XDIM><YDIM>-{metres}</YDIM></Geoposition>"
        );
    }
    format!(
        r#"<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<!-- {NOTICE}. -->
<n1:Level-2A_Tile_ID xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/S2_PDI_Level-2A_Tile_Metadata.xsd">
  <n1:General_Info>
    <TILE_ID metadataLevel="Brief">SYNTHETIC_{stem}</TILE_ID>
    <SENSING_TIME metadataLevel="Standard">{day}T10:50:31.000000Z</SENSING_TIME>
  </n1:General_Info>
  <n1:Geometric_Info>
    <Tile_Geocoding metadataLevel="Brief">
      <HORIZONTAL_CS_NAME>WGS84 / UTM zone 31N</HORIZONTAL_CS_NAME>
      <HORIZONTAL_CS_CODE>EPSG:{EPSG}</HORIZONTAL_CS_CODE>
{sizes}    </Tile_Geocoding>
  </n1:Geometric_Info>
</n1:Level-2A_Tile_ID>
"#,
        stem = names.stem,
        day = date.dashed()
    )
}
