import Foundation
import Testing

@testable import Model

/// Models with what no file of a converter at hand has.
@Suite struct HandmadeTests {
    @discardableResult private func roundTrip(_ model: Model) throws -> Bytes {
        let written = try model.serialized()
        let again = try Model.read(written, origin: model.origin)
        #expect(again == model)
        #expect(try again.serialized() == written)
        return written
    }

    @Test func everyTensorType() throws {
        for code in UInt8(0)...22 {
            let type = try #require(TensorType(rawValue: code))
            guard let size = type.byteCount(3) else { continue }
            try roundTrip(Samples.constant(type, [3], Samples.bytes([UInt8](repeating: 1, count: size))))
        }
        try roundTrip(Samples.constant(.string, [2], StringTensor.encode([[1, 2], []])))
    }

    @Test func emptyModel() throws {
        var model = Model()
        model.subgraphs = [Subgraph()]
        try roundTrip(model)
    }

    @Test func buffersOutsideTheFlatBuffer() throws {
        var model = try Samples.convolution()
        model.buffers[1].isOutside = true
        model.buffers[2].isOutside = true
        let written = try roundTrip(model)
        let place = try #require(try Model.read(written).buffers[1].data).offset
        #expect(place % 16 == 0)
        model.appended = try Samples.bytes(Array("behind all".utf8))
        try roundTrip(model)
        for size in [written.count - 25, written.count / 2] {
            let cut = try #require(written.slice(offset: 0, count: size))
            #expect(throws: Failure.self) { try Model.read(cut) }
        }
    }

    /// The form of models over 2 GB, tried on a small one.
    @Test func allBuffersMoveOutside() throws {
        let model = try Samples.convolution()
        let moved = try Model.read(Bytes(joining: Writer(model, allOutside: true).pieces()))
        #expect(moved.buffers.map(\.data) == model.buffers.map(\.data))
        #expect(moved.buffers.map(\.isOutside) == [false, true, true])
    }

    @Test func customOptions() throws {
        var model = Samples.identity()
        model.operatorCodes = [OperatorCode(.custom, custom: "MyOperator", version: 4)]
        model.operatorCodes[0].isForeign = true
        model.subgraphs[0].operators[0].customOptions = try Samples.bytes([UInt8](0...200))
        try roundTrip(model)
        model.subgraphs[0].operators[0].customOptionsOutside = true
        model.subgraphs[0].operators[0].debugMetadataIndex = 3
        model.subgraphs[0].debugMetadataIndex = 0
        try roundTrip(model)
        model.subgraphs[0].operators[0].customOptions = try Samples.bytes([UInt8]())
        model.subgraphs[0].operators[0].customOptionsOutside = false
        try roundTrip(model)
    }

    @Test func externalBuffers() throws {
        var model = Samples.identity()
        model.externalBufferGroups = ["weights.bin", "more.bin"]
        var external = ExternalBuffer()
        (external.id, external.group, external.offset, external.length) = (7, 1, 1 << 33, 16)
        external.packing = "unpacked"
        model.externalBuffers = [external]
        model.subgraphs[0].tensors.append(Tensor(name: "w", type: .float32, shape: [4]))
        model.subgraphs[0].tensors[2].externalBuffer = 7
        model.subgraphs[0].operators[0].inputs = [2]
        try roundTrip(model)
        try model.validateExecutable()
        model.externalBuffers[0].length = 15
        #expect(throws: Failure.self) { try model.validate() }
        model.externalBuffers[0].length = 16
        model.externalBuffers[0].group = 2
        #expect(throws: Failure.self) { try model.validate() }
        model.externalBuffers[0].group = 1
        model.externalBuffers.append(model.externalBuffers[0])
        #expect(throws: Failure.self) { try model.validate() }
    }

    @Test func quantizationDetails() throws {
        var model = Samples.constant(.int4, [2, 8], try Samples.bytes([UInt8](repeating: 0x21, count: 8)))
        model.subgraphs[0].tensors += [
            Tensor(name: "s", type: .float16, shape: [2, 2], buffer: 2),
            Tensor(name: "z", type: .int8, shape: [2, 2], buffer: 3),
        ]
        model.buffers.append(Buffer(try Samples.bytes([Float16](repeating: 0.5, count: 4))))
        model.buffers.append(Buffer(try Samples.bytes([Int8](repeating: 1, count: 4))))
        let details: [QuantizationDetails] = [
            .blockwise(scales: 3, zeroPoints: 4, blockSize: 4), .blockwise(scales: 3, zeroPoints: -1, blockSize: 4),
            .multiAxis(scales: 3, zeroPoints: -1, blockSize: 0, dimensions: [0, 1]),
            .custom(try Samples.bytes([UInt8(1), 2, 3])),
        ]
        for detail in details {
            model.subgraphs[0].tensors[2].quantization = Quantization()
            model.subgraphs[0].tensors[2].quantization?.details = detail
            try roundTrip(model)
        }
    }

    @Test func sparseTensors() throws {
        let encoder = SparseEncoder(
            shape: [4, 8], order: [1, 0, 2], blocks: [(1, 4)], compressed: [true, true, false])
        let (sparsity, stored) = encoder.encode((0..<32).map { $0 % 5 == 0 ? UInt8($0 + 1) : 0 })
        var model = Samples.constant(.uint8, [4, 8], try Samples.bytes(stored))
        model.subgraphs[0].tensors[2].sparsity = sparsity
        try roundTrip(model)
        model.buffers[1].data = try Samples.bytes(Array(stored.dropLast()))
        #expect(throws: Failure.self) { try model.validate() }
    }

    @Test func everythingElse() throws {
        var model = try Samples.convolution()
        model.metadata = [Metadata(name: "unknown to us", buffer: 2), Metadata(name: "", buffer: 0)]
        model.metadataBuffers = [1, -1]
        model.appended = try Samples.bytes(Array("some file".utf8))
        var variant = VariantTensor()
        (variant.shape, variant.type, variant.hasRank) = ([2, -1], .int64, true)
        model.subgraphs[0].tensors[3].variantTensors = [variant]
        model.subgraphs[0].tensors[3].hasRank = true
        model.subgraphs[0].tensors[0].name = ""
        model.subgraphs[0].operators[0].mutatingVariableInputs = [false, true, false]
        model.subgraphs[0].operators[0].intermediates = [-1, 2]
        model.subgraphs[0].operators[0].customOptionsFormat = 1
        model.subgraphs.append(Subgraph())
        model.signatures.append(Signature(key: "", subgraph: 1, inputs: [], outputs: []))
        model.operatorCodes.append(OperatorCode(.stablehloCase, version: 7))
        try roundTrip(model)
    }

    @Test func oldAndNewOperatorCodes() throws {
        for code in [BuiltinOperator.add, .batchMatmul, .cumsum, .stablehloCase] {
            var model = Samples.identity()
            model.operatorCodes[0].builtin = code
            let written = try model.serialized()
            #expect(try Model.read(written).operatorCodes == model.operatorCodes)
        }
    }

    /// The archive's directory names places in the whole file, and follows when the model before it grows.
    @Test func appendedArchive() throws {
        let python = Process()
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID().uuidString).tflite").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        func isSound() throws -> Bool {
            let python = Process()
            python.executableURL = URL(fileURLWithPath: "/usr/bin/env")
            // Strict: the header must be exactly where the directory says, counted from the start of the file.
            python.arguments = [
                "python3", "-c",
                """
                import sys, zipfile, struct
                data = open(sys.argv[1], 'rb').read()
                z = zipfile.ZipFile(sys.argv[1])
                end = data.rindex(b'PK\\5\\6')
                size, place = struct.unpack('<II', data[end + 12:end + 20])
                assert place + size == end and z.read('labels.txt') == b'cat\\ndog'
                """, path,
            ]
            try python.run()
            python.waitUntilExit()
            return python.terminationStatus == 0
        }
        var model = try Samples.convolution()
        try model.save(path: path)
        python.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        python.arguments = [
            "python3", "-c",
            "import sys, zipfile\nwith zipfile.ZipFile(sys.argv[1], 'a') as z: "
                + "z.writestr('labels.txt', 'cat\\ndog'); z.writestr('more', 'x' * 100)", path,
        ]
        try python.run()
        python.waitUntilExit()
        try #require(python.terminationStatus == 0)
        try #require(try isSound())
        let packed = try Model.open(path: path)
        try roundTrip(packed)
        model = packed
        model.description = String(repeating: "longer ", count: 100)
        try roundTrip(model)
        try model.save(path: path)
        #expect(try isSound())
        model.description = nil
        try model.save(path: path)
        #expect(try isSound())
    }

    @Test func textThatIsNotUTF8() throws {
        let model = try Samples.convolution()
        var bytes = try model.serialized().array(of: UInt8.self)
        let name = Array("made by hand".utf8)
        let place = try #require(bytes.indices.first { bytes[$0...].starts(with: name) })
        bytes[place] = 0xff
        bytes[place + 1] = 0xc0
        let read = try Model.read(Samples.bytes(bytes))
        try roundTrip(read)
        #expect(read.description?.hasSuffix("de by hand") == true)
    }
}
