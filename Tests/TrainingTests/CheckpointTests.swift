import CEdgeOpt
import CPlatform
import Glibc
import Model
import Testing

@testable import Training

@Suite struct CheckpointTests {
    /// A place for a file that is gone after the test.
    private final class Place {
        let path = "/tmp/edgeopt-checkpoint-\(UInt64.random(in: 0...UInt64.max)).ckpt"
        deinit { remove(path) }
        var bytes: [UInt8] {
            get throws { Bytes(try Storage.map(path: path)).array(of: UInt8.self) }
        }
        func write(_ bytes: [UInt8]) throws {
            let copy = try Bytes(copying: bytes)
            var parts = platform_part(base: copy.baseAddress, size: copy.count)
            #expect(platform_write_file(path, &parts, 1, false) == 0)
        }
    }

    private func options(_ kind: OptimizerKind) -> (inout TrainerOptions) -> Void {
        return {
            $0.optimizer.kind = kind
            $0.optimizer.momentum = 0.9
            $0.optimizer.averaging = 0.9
            $0.schedule.kind = .cosine
            $0.schedule.length = 10
        }
    }

    @Test(arguments: [OptimizerKind.sgd, .adam, .rmsprop], [false, true])
    func resumedTrainingHasTheSameBits(_ kind: OptimizerKind, _ normalizes: Bool) throws {
        let place = Place()
        func make() throws -> Trainer {
            try Digits.trainer {
                options(kind)(&$0)
                $0.normalizesBatches = normalizes
            }
        }
        let whole = try make()
        for step in 0..<3 { _ = try whole.step(Digits.batch(8, seed: UInt32(step + 1))) }
        try whole.setLearningRate(0.004)
        whole.position = Array("here".utf8)
        try whole.save(place.path)
        let resumed = try make()
        try resumed.restore(place.path)
        #expect(resumed.step == 3 && resumed.position == Array("here".utf8))
        for step in 3..<6 {
            let batch = try Digits.batch(8, seed: UInt32(step + 1))
            let (a, b) = (try whole.step(batch), try resumed.step(batch))
            #expect(a.loss == b.loss && a.learningRate == b.learningRate)
        }
        #expect(try whole.weights == resumed.weights)
        let batch = try Digits.batch(8)
        #expect(try whole.evaluate(batch).loss == resumed.evaluate(batch).loss)
    }

    @Test func aCheckpointOfAnotherTrainingIsRefused() throws {
        let place = Place()
        try Digits.trainer(options(.adam)).save(place.path)
        let other = try Digits.trainer(options(.sgd))
        _ = try other.step(Digits.batch(8))
        let before = try other.weights
        #expect(throws: Failure.self) { try other.restore(place.path) }
        let frozen = try Digits.trainer {
            options(.adam)(&$0)
            $0.frozen = [try! Digits.trainer().parameter(0).name]
        }
        #expect(throws: Failure.self) { try frozen.restore(place.path) }
        #expect(try other.weights == before && other.step == 1)
    }

    /// Every damaged byte is found, and nothing is lost by it.
    @Test func damagedFilesAreRefused() throws {
        let place = Place()
        let trainer = try Digits.trainer(options(.adam))
        _ = try trainer.step(Digits.batch(8))
        let before = try trainer.weights
        try trainer.save(place.path)
        let whole = try place.bytes
        var state: UInt64 = 88_172_645_463_325_252
        func random(_ count: Int) -> Int {
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            return Int(state % UInt64(count))
        }
        for round in 0..<300 {
            var bytes = whole
            switch round % 3 {
            case 0: bytes[random(min(bytes.count, 256))] ^= UInt8(1 << random(8))
            case 1: bytes[random(bytes.count)] ^= UInt8(1 << random(8))
            default: bytes.removeLast(1 + random(bytes.count))
            }
            try place.write(bytes)
            #expect(throws: Failure.self) { try trainer.restore(place.path) }
        }
        #expect(try trainer.weights == before && trainer.step == 1)
        try place.write(whole)
        try trainer.restore(place.path)
    }

    /// With a right checksum the rest of the reader is tried: any bytes give sections or a failure.
    @Test func anySectionsAreReadOrRefused() throws {
        var file = CheckpointFile()
        for index in 0..<4 { file.add("name \(index)", try Bytes(copying: [UInt8](repeating: 7, count: index * 5))) }
        var whole: [UInt8] = []
        for part in try file.parts() { whole += part.array(of: UInt8.self) }
        #expect(try CheckpointFile(try Bytes(copying: whole), origin: "x").sections.map { $0.name }.count == 4)
        var state: UInt64 = 1
        for _ in 0..<20_000 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            var bytes = whole
            bytes[32 + Int(state >> 33) % (bytes.count - 32)] = UInt8(truncatingIfNeeded: state >> 20)
            if state >> 60 == 0 { bytes[12] = UInt8(truncatingIfNeeded: state >> 40) }
            CheckpointFile.sign(&bytes)
            _ = try? CheckpointFile(try Bytes(copying: bytes), origin: "x")
        }
    }

    @Test func aFileThatCannotBeWrittenLeavesTheOldOne() throws {
        let trainer = try Digits.trainer()
        #expect(throws: Failure.self) { try trainer.save("/no/such/folder/x.ckpt") }
        #expect(throws: Failure.self) { try trainer.restore("/no/such/folder/x.ckpt") }
        // A device that is always full.
        let failure = #expect(throws: Failure.self) { try trainer.save("/dev/full/x.ckpt") }
        #expect(failure?.status == EO_FILE_ERROR)
    }
}
