/// What a blob is. See image-spec, media-types.md.
///
/// Docker's own types came first and mean the same; registries still hand them out.
public enum MediaType {
    /// Manifests of one image for several platforms.
    public static let index = "application/vnd.oci.image.index.v1+json"
    /// One image: its configuration and its layers.
    public static let manifest = "application/vnd.oci.image.manifest.v1+json"
    /// How an image is run, and what its layers unpack to.
    public static let configuration = "application/vnd.oci.image.config.v1+json"
    /// A layer as it is.
    public static let layer = "application/vnd.oci.image.layer.v1.tar"
    /// A layer, compressed.
    public static let gzipLayer = "application/vnd.oci.image.layer.v1.tar+gzip"
    /// A layer, compressed better and faster.
    public static let zstdLayer = "application/vnd.oci.image.layer.v1.tar+zstd"
    /// Two braces, where a manifest needs a blob and its maker has none.
    public static let empty = "application/vnd.oci.empty.v1+json"

    /// Docker's word for ``index``.
    public static let dockerIndex = "application/vnd.docker.distribution.manifest.list.v2+json"
    /// Docker's word for ``manifest``.
    public static let dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
    /// Docker's word for ``configuration``.
    public static let dockerConfiguration = "application/vnd.docker.container.image.v1+json"
    /// Docker's word for ``gzipLayer``.
    public static let dockerLayer = "application/vnd.docker.image.rootfs.diff.tar.gzip"

    /// Whether a blob of this type lists manifests.
    public static func isIndex(_ type: String) -> Bool { type == index || type == dockerIndex }

    /// Whether a blob of this type describes one image.
    public static func isManifest(_ type: String) -> Bool {
        type == manifest || type == dockerManifest
    }

    /// Whether a blob of this type says how an image is run.
    public static func isConfiguration(_ type: String) -> Bool {
        type == configuration || type == dockerConfiguration
    }
}
