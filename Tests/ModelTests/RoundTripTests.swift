import Foundation
import Testing

@testable import Model

@Suite struct RoundTripTests {
    /// EDGEOPT_ROUNDTRIP_DIR keeps the rewritten files, for other runtimes to be tried on.
    static let keep = ProcessInfo.processInfo.environment["EDGEOPT_ROUNDTRIP_DIR"]

    @Test(arguments: SharedModels.valid) func readWriteRead(path: String) throws {
        let model = try Model.open(path: path)
        let written = try model.serialized()
        let again = try Model.read(written, origin: path)
        #expect(again == model)
        #expect(try again.serialized() == written)
        if let keep = Self.keep { try model.save(path: keep + "/" + (path as NSString).lastPathComponent) }
    }

    @Test func pieceBoundariesDoNotShow() throws {
        var model = try Samples.convolution()
        model.buffers[1].data = try Bytes(copying: [UInt8](repeating: 7, count: 5000))
        let pieces = try model.serialize()
        #expect(pieces.count == 3)
        #expect(pieces[1].storage === model.buffers[1].data?.storage, "long weights are not copied")
        #expect(try Model.read(Bytes(joining: pieces)) == model)
    }

    @Test func savesUnderItsNameOnly() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = folder.appendingPathComponent("model.tflite").path
        var model = try Samples.convolution()
        try model.save(path: path)
        model.origin = path
        #expect(try Model.open(path: path) == model)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["model.tflite"])
        let failure = #expect(throws: Failure.self) { try model.save(path: folder.path + "/none/model.tflite") }
        #expect(failure?.message.contains("cannot be written") == true)
    }
}
