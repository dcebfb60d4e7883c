import Model
import Operators
import Runtime

/// How far the outputs of an exported integer model are from what was simulated.
package struct ExportReport: Equatable, Sendable {
    package fileprivate(set) var samples = 0
    /// Samples whose first output has its largest element at the same place.
    package fileprivate(set) var sameTop1 = 0
    package fileprivate(set) var elements = 0
    /// Elements that are 0, 1, 2, and 3 or more steps of the output's scale apart.
    package fileprivate(set) var apart = [0, 0, 0, 0]
    /// In steps.
    package fileprivate(set) var largestDistance: Float = 0

    package var withinOneStep: Double { elements == 0 ? 1 : Double(apart[0] + apart[1]) / Double(elements) }
    package var top1Agreement: Double { samples == 0 ? 1 : Double(sameTop1) / Double(samples) }
}

/// Runs samples through a simulation and through the integer model that was exported from it. One thread at a time.
package final class ExportCheck {
    package private(set) var report = ExportReport()
    private let simulated: Interpreter
    private let exported: Interpreter
    private let plan: QuantizationPlan

    /// `simulated` has the trained weights and states.
    package convenience init(
        _ plan: QuantizationPlan, simulated: Model, exported: Model, threadCount: Int = 1
    ) throws(Failure) {
        var options = Interpreter.Options()
        options.threadCount = threadCount
        self.init(
            plan, try Interpreter(try LoadedModel(simulated), options),
            try Interpreter(try LoadedModel(exported), options))
    }

    private init(_ plan: QuantizationPlan, _ simulated: Interpreter, _ exported: Interpreter) {
        (self.plan, self.simulated, self.exported) = (plan, simulated, exported)
    }

    /// Adds one sample: the bytes of each input of the float model.
    package func add(_ data: [Bytes]) throws(Failure) {
        let subgraph = plan.model.subgraphs[plan.graph]
        guard data.count == subgraph.inputs.count else {
            throw .wrongSize("\(plan.model.origin): a sample has \(subgraph.inputs.count) inputs, not \(data.count)")
        }
        var integers: [Bytes] = []
        for (index, input) in subgraph.inputs.enumerated() {
            integers.append(try stored(data[index], input, as: try exported.inputTensor(index).info))
        }
        try run(simulated, data)
        try run(exported, integers)
        report.samples += 1
        for (index, output) in subgraph.outputs.enumerated() where subgraph.tensors[output].type == .float32 {
            let (a, b) = (try reals(simulated.outputTensor(index)), try reals(exported.outputTensor(index)))
            compare(a, b, step: plan.scales.parameters(output)?.scale)
            if index == 0, top(a) == top(b) || isTop(a, top(b)) { report.sameTop1 += 1 }
        }
    }

    private func run(_ interpreter: Interpreter, _ data: [Bytes]) throws(Failure) {
        for index in data.indices {
            try unsafe interpreter.bindInput(index, data[index].baseAddress, byteCount: data[index].count)
        }
        defer { for index in data.indices { try? unsafe interpreter.bindInput(index, nil, byteCount: 0) } }
        interpreter.resetVariables()
        try interpreter.invoke()
    }

    private func stored(_ data: Bytes, _ input: Int, as info: TensorInfo) throws(Failure) -> Bytes {
        guard info.type != .float32, let parameters = plan.scales.parameters(input) else { return data }
        let values = data.array(of: Float.self).map { $0.isFinite ? parameters.quantize($0) : parameters.zeroPoint }
        return switch info.type {
        case .int16: try Bytes(copying: values.map { Int16(truncatingIfNeeded: $0) })
        case .uint8: try Bytes(copying: values.map { UInt8(truncatingIfNeeded: $0 + 128) })
        default: try Bytes(copying: values.map { Int8(truncatingIfNeeded: $0) })
        }
    }

    private func reals(_ tensor: LiveTensor) throws(Failure) -> [Float] {
        guard let base = unsafe tensor.data else { return [] }
        let data = Bytes(unsafe Storage.borrow(base, count: tensor.byteCount))
        let (scale, zero) = (tensor.info.scale, tensor.info.zeroPoint)
        return switch tensor.info.type {
        case .float32: data.array(of: Float.self)
        case .int8: data.array(of: Int8.self).map { Float(Int($0) - zero) * scale }
        case .uint8: data.array(of: UInt8.self).map { Float(Int($0) - zero) * scale }
        case .int16: data.array(of: Int16.self).map { Float(Int($0) - zero) * scale }
        default: []
        }
    }

    /// An output that stays float has no step: a 255th of its largest value then.
    private func compare(_ a: [Float], _ b: [Float], step: Float?) {
        let largest = a.reduce(0) { max($0, $1.magnitude) }
        let step = step ?? max(largest / 255, .leastNormalMagnitude)
        report.elements += a.count
        for (x, y) in zip(a, b) {
            let distance = ((x - y) / step).magnitude
            // NaN counts as far apart.
            let steps = distance < 3 ? Int(distance.rounded()) : 3
            report.apart[steps] += 1
            if !(distance <= report.largestDistance) { report.largestDistance = distance }
        }
    }

    private func top(_ values: [Float]) -> Int? { values.indices.max { values[$0] < values[$1] } }

    /// Of several largest elements each is right.
    private func isTop(_ values: [Float], _ index: Int?) -> Bool {
        guard let index, index < values.count, let best = top(values) else { return false }
        return values[index] == values[best]
    }
}
