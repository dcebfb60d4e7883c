// swift-tools-version: 6.2
// The only list of sources. Two builds of the same code:
//   swift build / swift test            ordinary Swift: tests, sanitizers, the command
//   EDGEOPT_EMBEDDED=1 swift build ...  Embedded Swift: the libedgeopt.so that ships (no Swift runtime inside)
import PackageDescription

let embedded = Context.environment["EDGEOPT_EMBEDDED"] == "1"

// A copy of a function for each closure that it is called with is 10 KB in all, and nothing is faster.
let buildKind: [SwiftSetting] =
    embedded
    ? [
        .enableExperimentalFeature("Embedded"),
        .unsafeFlags([
            "-wmo", "-Osize", "-enforce-exclusivity=unchecked", "-Xfrontend", "-function-sections", "-Xllvm",
            "-sil-disable-pass=closure-specialize",
        ]),
    ]
    : [.treatWarning("EmbeddedRestrictions", as: .error)]

// In Embedded Swift a module also emits what it uses of the modules it imports. All rooms but the last leave that to
// EdgeOpt, or the library would hold four copies of the operators. Worse, Swift 6.3.1 numbers the constant arrays of a
// function anew in every module that emits it but gives them weak symbols, so that the linker mixes them up.
let deferred: [SwiftSetting] = embedded ? [.enableExperimentalFeature("DeferredCodeGen")] : []

// `Lifetimes`: types of our own that hand out Span. `strictMemorySafety`: every unsafe use says `unsafe`.
let fenced: [SwiftSetting] =
    [.enableExperimentalFeature("Lifetimes"), .strictMemorySafety(), .treatWarning("StrictMemorySafety", as: .error)]
    + buildKind
// Kernels is the room where raw pointers live.
let unfenced: [SwiftSetting] = [.enableExperimentalFeature("Lifetimes")] + buildKind

// Nothing is thrown through C, and Embedded Swift has no unwind tables either. Loops whose length is known when the library
// runs are repeated in the code only where they ask for it: 38 KB less, and no slower.
let plain: [CSetting] =
    embedded
    ? [
        .define("EDGEOPT_EMBEDDED"),
        .unsafeFlags(["-fno-asynchronous-unwind-tables", "-mllvm", "-unroll-runtime=false"]),
    ] : []

// Tile registers (AMX) in software, for tests on machines that have none; never in what ships.
let tiles: [CSetting] =
    !embedded && Context.environment["EDGEOPT_EMULATED_TILES"] == "1"
    ? [.unsafeFlags(["-include", "\(Context.packageDirectory)/Tests/kernels/emulated_tiles.h"])] : []

// swift-testing expands to code that Embedded Swift could not have.
let tests: [SwiftSetting] = [.enableExperimentalFeature("Lifetimes")]

// The version script exports eo_* and nothing else; -z defs turns a missing symbol into a link error.
var linker: [LinkerSetting] = [
    .unsafeFlags([
        "-Xlinker", "--version-script=\(Context.packageDirectory)/edgeopt.map",
        "-Xlinker", "-z", "-Xlinker", "defs",
    ])
]
if embedded {
    // lld tags every export with its version; gc drops what no eo_* function reaches.
    linker.append(
        .unsafeFlags([
            "-use-ld=lld", "-Xlinker", "--gc-sections", "-Xlinker", "--icf=all", "-lm",
            "-Xlinker", "-T", "-Xlinker", "\(Context.packageDirectory)/edgeopt.ld",
        ]))
}

var targets: [Target] = [
    .systemLibrary(name: "CEdgeOpt", path: "include"),
    .target(name: "CPlatform", cSettings: plain),
    .target(name: "CKernels", cSettings: plain + tiles),
    .target(name: "Model", dependencies: ["CEdgeOpt", "CPlatform"], swiftSettings: fenced + deferred),
    .target(
        name: "Kernels", dependencies: ["CEdgeOpt", "CKernels", "CPlatform", "Model"],
        swiftSettings: unfenced + deferred),
    .target(name: "Operators", dependencies: ["Kernels", "Model", "CPlatform"], swiftSettings: fenced + deferred),
    .target(
        name: "Runtime", dependencies: ["CEdgeOpt", "CPlatform", "Operators", "Kernels", "Model"],
        swiftSettings: fenced + deferred),
    .target(
        name: "Quantization", dependencies: ["Runtime", "Operators", "Kernels", "Model"],
        swiftSettings: fenced + deferred),
    .target(
        name: "Compression", dependencies: ["Quantization", "Operators", "Kernels", "Model"],
        swiftSettings: fenced + deferred),
    .target(
        name: "Training",
        dependencies: [
            "CEdgeOpt", "CPlatform", "Compression", "Quantization", "Runtime", "Operators", "Kernels", "CKernels",
            "Model",
        ],
        swiftSettings: fenced + deferred),
    .target(
        name: "EdgeOpt",
        dependencies: [
            "CEdgeOpt", "CPlatform", "CKernels", "Training", "Compression", "Quantization", "Runtime", "Operators",
            "Kernels", "Model",
        ],
        swiftSettings: fenced, linkerSettings: linker),
]
var products: [Product] = [.library(name: "edgeopt", type: .dynamic, targets: ["EdgeOpt"])]
var dependencies: [Package.Dependency] = []

if !embedded {
    // The command sees the library through edgeopt.h only. By default its code is linked in; EDGEOPT_LIBRARY_DIR names
    // the folder of a built libedgeopt.so to link instead (CMakeLists.txt does, so the shipped command uses what ships).
    let library = Context.environment["EDGEOPT_LIBRARY_DIR"]
    let linkToLibrary: [LinkerSetting] =
        library.map { [.unsafeFlags(["-L\($0)", "-ledgeopt", "-Xlinker", "-rpath=$ORIGIN/../lib"])] } ?? []
    dependencies = [.package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2")]
    products.append(.executable(name: "edgeopt-cli", targets: ["edgeopt-cli"]))
    targets += [
        .executableTarget(
            name: "edgeopt-cli",
            dependencies: ["CEdgeOpt", "CFormats", .product(name: "ArgumentParser", package: "swift-argument-parser")]
                + (library == nil ? ["EdgeOpt"] : []),
            linkerSettings: linkToLibrary),
        // libjpeg, libpng and zlib, for the images and .npz files that the command reads.
        .target(
            name: "CFormats",
            linkerSettings: [.linkedLibrary("jpeg"), .linkedLibrary("png"), .linkedLibrary("z")]),
        .testTarget(name: "ModelTests", dependencies: ["Model"], swiftSettings: tests),
        .testTarget(name: "KernelsTests", dependencies: ["Kernels", "CKernels", "CPlatform"], swiftSettings: tests),
        .testTarget(name: "OperatorsTests", dependencies: ["Operators", "Runtime", "Training"], swiftSettings: tests),
        .testTarget(name: "RuntimeTests", dependencies: ["Runtime"], swiftSettings: tests),
        .testTarget(name: "QuantizationTests", dependencies: ["Quantization"], swiftSettings: tests),
        .testTarget(
            name: "TrainingTests", dependencies: ["Operators", "Runtime", "Training", "CKernels"], swiftSettings: tests),
        .testTarget(
            name: "CompressionTests", dependencies: ["Compression", "Quantization", "Operators", "Kernels", "Model"],
            swiftSettings: tests),
    ]
}

let package = Package(
    name: "edgeopt", products: products, dependencies: dependencies, targets: targets,
    swiftLanguageModes: [.v6], cLanguageStandard: .c11)
