import Foundation
import Testing

@testable import Model

/// Damaged files must give a sentence or a model, and never anything else. What is accepted must be writable.
@Suite struct MutationTests {
    private struct Generator: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {  // SplitMix64
            state &+= 0x9e37_79b9_7f4a_7c15
            var z = state
            z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
            z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
            return z ^ (z >> 31)
        }
    }

    private struct Tally {
        var accepted = 0
        var refused = 0

        mutating func run(_ bytes: [UInt8]) throws {
            let file = try Bytes(copying: bytes)
            do throws(Failure) {
                let model = try Model.read(file, origin: "mutant")
                try? model.validateExecutable()
                for subgraph in model.subgraphs {
                    for operation in subgraph.operators { _ = operation.options.text }
                    for tensor in subgraph.tensors {
                        guard let sparsity = tensor.sparsity, (elementCount(tensor.shape) ?? 0) < 1 << 20,
                            let data = model.data(of: tensor),
                            case .sound(let layout) = sparsity.layout(shape: tensor.shape)
                        else { continue }
                        _ = try? layout.densify(data, type: tensor.type)
                    }
                }
                accepted += 1
                _ = try model.serialize()
            } catch {
                #expect(error.message.hasPrefix("mutant: "), "\(error.message)")
                refused += 1
            }
        }
    }

    /// EDGEOPT_THOROUGH tries more values and another file: a minute instead of some seconds.
    static let isThorough = ProcessInfo.processInfo.environment["EDGEOPT_THOROUGH"] != nil

    /// Dense in structure: nothing in them but tables.
    static func subjects() throws -> [(name: String, bytes: [UInt8])] {
        var everything = try Samples.convolution()
        everything.metadata = [Metadata(name: "m", buffer: 2)]
        everything.buffers[1].isOutside = true
        let encoder = SparseEncoder(shape: [4, 6], order: [0, 1], blocks: [], compressed: [false, true])
        let (sparsity, stored) = encoder.encode((0..<24).map { UInt8($0 % 3) })
        everything.buffers.append(Buffer(try Samples.bytes(stored)))
        everything.buffers.append(Buffer(try StringTensor.encode([[1, 2], [3]])))
        everything.subgraphs[0].tensors.append(Tensor(name: "sparse", type: .uint8, shape: [4, 6], buffer: 3))
        everything.subgraphs[0].tensors[4].sparsity = sparsity
        everything.subgraphs[0].tensors.append(Tensor(name: "text", type: .string, shape: [2], buffer: 4))
        var subjects = [("made by hand", try everything.serialized().array(of: UInt8.self))]
        for name in ["two_signatures_float32"] + (isThorough ? ["group_norm_external_buffer"] : []) {
            guard let data = FileManager.default.contents(atPath: SharedModels.path("\(name).tflite")) else {
                print("skipped: \(name) is not there")
                continue
            }
            subjects.append((name, Array(data)))
        }
        return subjects
    }

    @Test func everyByteTakesOtherValues() throws {
        for (name, bytes) in try Self.subjects() {
            var tally = Tally()
            var mutant = bytes
            for index in bytes.indices {
                let original = bytes[index]
                let values: [UInt8] = [0, 0xff, original ^ 1, original &+ 4]
                for value in values + (Self.isThorough ? [1, 0x7f, 0x80, original ^ 16] : []) {
                    guard value != original else { continue }
                    mutant[index] = value
                    try tally.run(mutant)
                }
                mutant[index] = original
            }
            print("\(name): \(tally.accepted) mutants accepted, \(tally.refused) refused")
            #expect(tally.refused > 0)
        }
    }

    @Test func everyTruncation() throws {
        for (_, bytes) in try Self.subjects() {
            var tally = Tally()
            for count in bytes.indices { try tally.run(Array(bytes[..<count])) }
            #expect(tally.refused > bytes.count / 2)
        }
    }

    @Test func randomDamage() throws {
        let chosen = ProcessInfo.processInfo.environment["EDGEOPT_SEED"].flatMap { UInt64($0) }
        let seed = chosen ?? UInt64.random(in: 0..<1 << 32)
        print("EDGEOPT_SEED=\(seed)")
        var generator = Generator(state: seed)
        let subjects = try Self.subjects()
        let interesting: [UInt32] = [0, 1, 4, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0xffff_fffc, 1 << 16, 1 << 30]
        var tally = Tally()
        let end = Date().addingTimeInterval(4)
        while Date() < end {
            var bytes = subjects.randomElement(using: &generator)!.bytes
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                let place =
                    Int.random(in: 0..<bytes.count - 4, using: &generator) & ~(Bool.random(using: &generator) ? 3 : 0)
                switch Int.random(in: 0..<3, using: &generator) {
                case 0: bytes[place] = UInt8.random(in: 0...255, using: &generator)
                case 1:
                    let word = interesting.randomElement(using: &generator)!
                    for index in 0..<4 { bytes[place + index] = UInt8(truncatingIfNeeded: word >> (8 * index)) }
                default:  // a piece of the file over another
                    let source = Int.random(in: 0..<bytes.count - 4, using: &generator)
                    for index in 0..<4 { bytes[place + index] = bytes[source + index] }
                }
            }
            try tally.run(bytes)
        }
        print("random damage: \(tally.accepted) accepted, \(tally.refused) refused")
    }

    /// A vector whose offsets all lead to one table would be many tables for few bytes.
    @Test func overlappingOffsetsAreBounded() throws {
        // root -> table with field 2 (subgraphs) -> vector of `count` offsets to one table without fields
        var bytes: [UInt8] = []
        func word(_ value: Int) {
            for shift in [0, 8, 16, 24] { bytes.append(UInt8(truncatingIfNeeded: value >> shift)) }
        }
        func half(_ value: Int) { for shift in [0, 8] { bytes.append(UInt8(truncatingIfNeeded: value >> shift)) } }
        let count = 1_100_000
        word(20)
        bytes += Array("TFL3".utf8)
        for value in [10, 8, 0, 0, 4, 0] { half(value) }  // virtual table at 8, padded to 20
        word(12)  // root table at 20: its virtual table is 12 bytes before
        word(4)  // field 2, at 24: the vector is at 28
        word(count)
        let target = 32 + 4 * count + 4
        for index in 0..<count { word(target - (32 + 4 * index)) }
        half(4)
        half(4)  // virtual table
        word(4)
        let failure = #expect(throws: Failure.self) { try Model.read(Samples.bytes(bytes)) }
        #expect(failure?.message.contains("more than 1000000 tables") == true, "\(failure?.message ?? "")")
    }
}
