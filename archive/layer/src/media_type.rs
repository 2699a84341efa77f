//! Names the media types of blobs (OCI image-spec, media-types.md; distribution, manifest-v2-2.md).

use crate::CompressionParams;

/// An uncompressed layer (OCI image-spec, layer.md).
pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// A layer in gzip (OCI image-spec, layer.md, "`+gzip` Media Types").
pub const LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// A layer in zstd (OCI image-spec, layer.md, "`+zstd` Media Types").
pub const LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
/// Manifest of one image.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// Index of manifests.
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// Config of an image.
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// docker's manifest of one image.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// docker's index of manifests.
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// The config of what needs none (image-spec, manifest.md, "Guidance for an Empty Descriptor").
pub const EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// docker's config of an image.
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
/// All that a registry may be asked for, OCI's first.
pub const MANIFESTS: [&str; 4] = [MANIFEST, INDEX, DOCKER_MANIFEST, DOCKER_LIST];

/// Whether it is that of one image.
pub fn is_image(media_type: &str) -> bool {
    media_type == MANIFEST || media_type == DOCKER_MANIFEST
}

/// Whether it is that of an index.
pub fn is_index(media_type: &str) -> bool {
    media_type == INDEX || media_type == DOCKER_LIST
}

/// Whether it is that of an image's config; docker once left it out, or said that it is a file.
pub fn is_config(media_type: &str) -> bool {
    [CONFIG, DOCKER_CONFIG, "application/octet-stream", ""].contains(&media_type)
}

/// The media type of a layer that is compressed so, or not at all.
pub fn layer(params: Option<CompressionParams>) -> &'static str {
    match params {
        None => LAYER,
        Some(CompressionParams::Gzip { .. }) => LAYER_GZIP,
        Some(CompressionParams::Zstd { .. } | CompressionParams::ZstdChunked { .. }) => LAYER_ZSTD,
    }
}

/// OCI's media type of a layer instead of docker's (image-spec, media-types.md, "Compatibility Matrix"; docker
/// writes `.zstd` too, which the matrix does not have).
pub fn layer_in_oci(media_type: &str) -> String {
    const KINDS: [(&str, &str); 2] = [
        ("application/vnd.docker.image.rootfs.diff.tar", "application/vnd.oci.image.layer.v1.tar"),
        (
            "application/vnd.docker.image.rootfs.foreign.diff.tar",
            "application/vnd.oci.image.layer.nondistributable.v1.tar",
        ),
    ];
    let in_oci = KINDS.iter().find_map(|(docker, oci)| {
        Some(match media_type.strip_prefix(docker)? {
            "" => (*oci).to_owned(),
            ".gzip" => format!("{oci}+gzip"),
            ".zstd" => format!("{oci}+zstd"),
            _ => return None,
        })
    });
    in_oci.unwrap_or_else(|| media_type.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each form of docker's layer has one of OCI's; what is OCI's already, or nobody's, stays.
    #[test]
    fn layers_in_oci() {
        for (found, expected) in [
            ("application/vnd.docker.image.rootfs.diff.tar", "application/vnd.oci.image.layer.v1.tar"),
            ("application/vnd.docker.image.rootfs.diff.tar.gzip", "application/vnd.oci.image.layer.v1.tar+gzip"),
            ("application/vnd.docker.image.rootfs.diff.tar.zstd", "application/vnd.oci.image.layer.v1.tar+zstd"),
            (
                "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
                "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
            ),
            ("application/vnd.oci.image.layer.v1.tar+zstd", "application/vnd.oci.image.layer.v1.tar+zstd"),
            ("application/vnd.docker.image.rootfs.diff.tar.lz", "application/vnd.docker.image.rootfs.diff.tar.lz"),
            ("text/plain", "text/plain"),
        ] {
            assert_eq!(layer_in_oci(found), expected);
        }
    }
}
