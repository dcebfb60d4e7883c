import Foundation
import Kernels
import Model
import Testing

@testable import Operators

/// Single operators against LiteRT's reference kernels: a file of cases that Tests/conformance/operator_cases.py wrote.
/// Without `EDGEOPT_OPERATOR_CASES` naming it there is nothing to compare with, and the test says so.
@Suite struct ReferenceKernelsTests {
    static let path = ProcessInfo.processInfo.environment["EDGEOPT_OPERATOR_CASES"]

    @Test func integersBitForBitFloatsWithinTolerance() throws {
        guard let path = Self.path else {
            print("skipped: EDGEOPT_OPERATOR_CASES is not set")
            return
        }
        let pool = try ThreadPool(threads: 2)
        let weights = try PackedWeightCache()
        var tally: [String: Tally] = [:]
        for line in try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n") {
            let item = try OracleCase(line)
            tally[item.label, default: Tally()].count += 1
            do {
                let exact = try item.difference(.reference, pool, weights)
                if exact > (item.isInteger ? 0 : 1e-5) { tally[item.label]!.note(exact, in: line) }
                tally[item.label]!.fast = max(tally[item.label]!.fast, try item.difference(.fast, pool, weights))
            } catch let failure as Failure {
                tally[item.label]!.failures.insert(failure.message)
            }
        }
        for (label, tally) in tally.sorted(by: { $0.key < $1.key }) {
            if tally.wrong > 0 || !tally.failures.isEmpty || tally.fast > 1 {
                print(
                    "\(label): \(tally.wrong) of \(tally.count) wrong by \(tally.worst), fast within \(tally.fast)",
                    tally.failures.joined(separator: "; "))
            }
            #expect(tally.wrong == 0 && tally.failures.isEmpty, "\(label)")
        }
        print("\(tally.values.reduce(0) { $0 + $1.count }) cases")
    }

    struct Tally {
        var count = 0
        var wrong = 0
        var worst = 0.0
        var fast = 0.0
        var failures: Set<String> = []

        mutating func note(_ difference: Double, in line: Substring) {
            wrong += 1
            worst = max(worst, difference)
        }
    }
}

/// "label code version options tensor..."; a tensor is "i|type|shape|scale,zero|hex bytes" (o for an output).
struct OracleCase {
    let label: String
    let evaluation: (Arithmetic, ThreadPool, PackedWeightCache) throws -> [TensorInfo]
    let expected: [TensorInfo]
    var isInteger: Bool { expected.allSatisfy { $0.type != .float32 } }

    init(_ line: Substring) throws {
        let words = line.split(separator: " ", omittingEmptySubsequences: false)
        label = String(words[0])
        let code = BuiltinOperator(rawValue: Int32(words[1])!)
        let definition = try #require(OperatorRegistry.definition(OperatorCode(code)), "\(label) has no definition")
        var options = Options(code.optionTable)
        for (field, word) in words[3].split(separator: ",").enumerated() {
            options[field] = word.contains("x") ? .float(Float(word)!) : .int(Int64(word)!)
        }
        let tensors = try words[4...].map { try Self.tensor($0) }
        let inputs = tensors.filter { $0.isInput }.map { $0.info }
        expected = tensors.filter { !$0.isInput }.map { $0.info }
        let (version, outputs) = (Int(words[2])!, expected)
        evaluation = { arithmetic, pool, weights in
            var evaluation = Evaluation(
                definition, version: version, options: options, pool: pool, weights: weights)
            evaluation.arithmetic = arithmetic
            return try #require(try evaluation.evaluate(inputs, outputs: outputs))
        }
    }

    /// Largest difference: in steps for integers, relative to the largest value for floats.
    func difference(_ arithmetic: Arithmetic, _ pool: ThreadPool, _ weights: PackedWeightCache) throws -> Double {
        var worst = 0.0
        for (result, expected) in zip(try evaluation(arithmetic, pool, weights), expected) {
            guard result.shape == expected.shape else { return .infinity }
            let (y, z) = (result.numbers, expected.numbers)
            let largest = z.reduce(0) { $1.isFinite ? max($0, abs($1)) : $0 }
            let unit = result.type == .float32 && largest > 0 ? largest : 1
            for (a, b) in zip(y, z) where a != b && !(a.isNaN && b.isNaN) {
                worst = max(worst, (abs(a - b) / unit).isNaN ? .infinity : abs(a - b) / unit)
            }
        }
        return worst
    }

    private static func tensor(_ word: Substring) throws -> (isInput: Bool, info: TensorInfo) {
        let parts = word.split(separator: "|", omittingEmptySubsequences: false)
        let shape = parts[2].split(separator: "x").map { Int($0)! }
        var info = TensorInfo(name: "t", type: TensorType(rawValue: UInt8(parts[1])!)!, shape: shape)
        let quantization = parts[3].split(separator: ",")
        if quantization.count == 2 {
            info.quantization = Quantization(scale: Float(quantization[0])!, zeroPoint: Int(quantization[1])!)
        }
        info.constant = try Bytes(copying: bytes(parts[4]))
        return (parts[0] == "i", info)
    }

    private static func bytes(_ hex: Substring) -> [UInt8] {
        func digit(_ c: UInt8) -> UInt8 { c < 58 ? c - 48 : c - 87 }
        let digits = Array(hex.utf8)
        return (0..<(digits.count / 2)).map { digit(digits[2 * $0]) << 4 | digit(digits[2 * $0 + 1]) }
    }
}

extension TensorInfo {
    /// The constant's elements.
    var numbers: [Double] {
        let bytes = constant!
        switch type {
        case .float32: return bytes.array(of: Float.self).map { Double($0) }
        case .int8: return bytes.array(of: Int8.self).map { Double($0) }
        case .uint8, .bool: return bytes.array(of: UInt8.self).map { Double($0) }
        case .int16: return bytes.array(of: Int16.self).map { Double($0) }
        case .int32: return bytes.array(of: Int32.self).map { Double($0) }
        case .int64: return bytes.array(of: Int64.self).map { Double($0) }
        default: return []
        }
    }
}
