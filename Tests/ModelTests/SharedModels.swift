import Foundation

/// The models beside the repository, if they are there.
enum SharedModels {
    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("shared/models")

    static let valid = files("") + files("ops")
    static let malformed = files("malformed")

    static func path(_ name: String) -> String { folder.appendingPathComponent(name).path }

    private static func files(_ subfolder: String) -> [String] {
        let folder = folder.appendingPathComponent(subfolder)
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        let paths = names.filter { $0.hasSuffix(".tflite") }.sorted().map { folder.appendingPathComponent($0).path }
        if paths.isEmpty { print("skipped: \(folder.lastPathComponent) models are not there") }
        return paths
    }
}
