import Testing

@testable import Model

/// One thing wrong with a sound model, and a part of the sentence that says so.
struct Flaw: CustomTestStringConvertible, Sendable {
    let testDescription: String
    let change: @Sendable (inout Model) throws -> Void
    init(_ sentence: String, _ change: @escaping @Sendable (inout Model) throws -> Void) {
        testDescription = sentence
        self.change = change
    }
}

@Suite struct ValidationTests {
    static let flaws = [
        Flaw("schema version 3 was expected, found 2") { $0.version = 2 },
        Flaw("at least one subgraph") { $0.subgraphs = [] },
        Flaw("operator code 0: builtin operator 500 is newer") {
            $0.operatorCodes[0].builtin = BuiltinOperator(rawValue: 500)
        },
        Flaw("operator code 0: a custom operator was found without its name") { $0.operatorCodes[0].builtin = .custom },
        Flaw("tensor 1 \"w\": buffer 77 is not there; there are 3") { $0.subgraphs[0].tensors[1].buffer = 77 },
        Flaw("72 bytes were expected for INT8[2, 3, 3, 4], found 71") {
            $0.buffers[1].data = $0.buffers[1].data?.slice(offset: 0, count: 71)
        },
        Flaw("found [1, -5, 8, 4]") { $0.subgraphs[0].tensors[0].shape[1] = -5 },
        Flaw("more than can be counted") {
            $0.subgraphs[0].tensors[0].shape = [1 << 30, 1 << 30, 0]
            $0.subgraphs[0].tensors[0].shapeSignature = nil
        },
        Flaw("at most 64 dimensions") { $0.subgraphs[0].tensors[0].shape = Array(repeating: 1, count: 65) },
        Flaw("a shape signature of rank 4 was expected, found 1") { $0.subgraphs[0].tensors[0].shapeSignature = [-1] },
        Flaw("a shape signature of sizes, or -1") { $0.subgraphs[0].tensors[0].shapeSignature?[1] = -2 },
        Flaw("finite and above 0 was expected, found 0") { $0.subgraphs[0].tensors[0].quantization?.scales = [0] },
        Flaw("finite and above 0 was expected, found nan") {
            $0.subgraphs[0].tensors[1].quantization?.scales[1] = .nan
        },
        Flaw("finite and above 0 was expected, found inf") {
            $0.subgraphs[0].tensors[3].quantization?.scales = [.infinity]
        },
        Flaw("a zero point within INT8 was expected, found 128") {
            $0.subgraphs[0].tensors[3].quantization?.zeroPoints = [128]
        },
        Flaw("1 zero points were expected, found 2") { $0.subgraphs[0].tensors[3].quantization?.zeroPoints = [1, 2] },
        Flaw("3 scales were expected along dimension 1, found 2") {
            $0.subgraphs[0].tensors[1].quantization?.dimension = 1
        },
        Flaw("quantized dimension 4 is not in shape") { $0.subgraphs[0].tensors[1].quantization?.dimension = 4 },
        Flaw("a variable was found with 8 bytes") { $0.subgraphs[0].tensors[2].isVariable = true },
        Flaw("a constant cannot have type RESOURCE") {
            $0.subgraphs[0].tensors[2].type = .resource
            $0.subgraphs[0].tensors[2].quantization = nil
        },
        Flaw("external buffer 9 is not in the model's list") { $0.subgraphs[0].tensors[0].externalBuffer = 9 },
        Flaw("operator 0 with code 9: operator code 9 is not there; there are 1") {
            $0.subgraphs[0].operators[0].opcode = 9
        },
        Flaw("operator 0 CONV_2D: input tensor 1000000 is not there") {
            $0.subgraphs[0].operators[0].inputs[1] = 1_000_000
        },
        Flaw("input tensor -2 is not there") { $0.subgraphs[0].operators[0].inputs[2] = -2 },
        Flaw("output tensor -1 is not there") { $0.subgraphs[0].operators[0].outputs = [-1] },
        Flaw("its output tensor 1 \"w\" is a constant") { $0.subgraphs[0].operators[0].outputs = [1] },
        Flaw("output tensor 3 \"y\" is written by operator 0 too") {
            $0.subgraphs[0].operators.append($0.subgraphs[0].operators[0])
        },
        Flaw("its input tensor 3 \"y\" is written by operator 0, which does not run before it") {
            $0.subgraphs[0].operators[0].inputs[0] = 3
        },
        Flaw("input tensor 0 \"x\" is listed twice") { $0.subgraphs[0].inputs = [0, 0] },
        Flaw("input tensor 1 \"w\" is a constant") { $0.subgraphs[0].inputs = [1] },
        Flaw("input tensor 3 \"y\" is written by operator 0") { $0.subgraphs[0].inputs = [0, 3] },
        Flaw("subgraph 0 \"main\": output tensor -1 is not there") { $0.subgraphs[0].outputs = [-1] },
        Flaw("options of Conv2DOptions were expected, found Pool2DOptions") {
            $0.subgraphs[0].operators[0].options = Options(.pool2D)
        },
        Flaw("option padding of Conv2DOptions cannot be 2") { $0.subgraphs[0].operators[0].options[0] = .int(2) },
        Flaw("option stride_w of Conv2DOptions cannot be 1.5") {
            $0.subgraphs[0].operators[0].options[1] = .float(1.5)
        },
        Flaw("option stride_w of Conv2DOptions cannot be 4294967296") {
            $0.subgraphs[0].operators[0].options[1] = .int(1 << 32)
        },
        Flaw("option quantized_bias_type of Conv2DOptions cannot be 99") {
            $0.subgraphs[0].operators[0].options[6] = .int(99)
        },
        Flaw("Conv2DOptions has 7 fields, found 8") { $0.subgraphs[0].operators[0].options[7] = .int(0) },
        Flaw("signature 0 \"serving_default\": subgraph 1 is not there") { $0.signatures[0].subgraph = 1 },
        Flaw("its input \"image\" names tensor 3, which is no input") { $0.signatures[0].inputs[0].tensor = 3 },
        Flaw("two of its outputs are called \"scores\"") {
            $0.signatures[0].outputs.append($0.signatures[0].outputs[0])
        },
        Flaw("an earlier signature has the same key") { $0.signatures.append($0.signatures[0]) },
        Flaw("metadata 0 \"m\": buffer 3 is not there") { $0.metadata = [Metadata(name: "m", buffer: 3)] },
        Flaw("blocks of 3 do not divide") {
            $0.subgraphs[0].tensors[1].quantization?.details = .blockwise(scales: 0, zeroPoints: -1, blockSize: 3)
        },
        Flaw("scales of a float type were expected in tensor 0, found INT8") {
            $0.subgraphs[0].tensors[1].quantization?.details = .blockwise(scales: 0, zeroPoints: -1, blockSize: 2)
        },
        Flaw("36 scales, one per block, were expected in tensor 4, found 3") {
            $0.subgraphs[0].tensors.append(Tensor(name: "s", type: .float16, shape: [3]))
            $0.subgraphs[0].tensors[1].quantization?.details = .blockwise(scales: 4, zeroPoints: -1, blockSize: 2)
        },
        Flaw("scales that are finite and above 0 were expected in tensor 4, found 0") {
            $0.buffers.append(Buffer(try Samples.bytes([UInt16](repeating: 0, count: 36))))
            $0.subgraphs[0].tensors.append(Tensor(name: "s", type: .float16, shape: [36], buffer: 3))
            $0.subgraphs[0].tensors[1].quantization?.details = .blockwise(scales: 4, zeroPoints: -1, blockSize: 2)
        },
        Flaw("2 strings were expected, found 1") {
            $0.buffers.append(Buffer(try StringTensor.encode([[65]])))
            $0.subgraphs[0].tensors.append(Tensor(name: "s", type: .string, shape: [2], buffer: 3))
        },
        Flaw("the offsets of its strings lead outside buffer 3") {
            $0.buffers.append(Buffer(try Samples.bytes([Int32(1), 12, 99])))
            $0.subgraphs[0].tensors.append(Tensor(name: "s", type: .string, shape: [1], buffer: 3))
        },
        Flaw("sparsity: 4 dimensions were expected") { $0.subgraphs[0].tensors[1].sparsity = Sparsity() },
    ]

    @Test(arguments: flaws) func isRefused(flaw: Flaw) throws {
        var model = try Samples.convolution()
        try model.validate()
        try model.validateExecutable()
        try flaw.change(&model)
        model.origin = "file.tflite"
        let failure = #expect(throws: Failure.self) { try model.validate() }
        let message = try #require(failure?.message)
        #expect(message.hasPrefix("file.tflite: "))
        #expect(message.contains(flaw.testDescription), "\(message)")
        #expect(throws: Failure.self) { try model.serialize() }
    }

    /// Subgraph 0 calls, through an operator of its own each, the subgraphs listed.
    private func calls(_ callees: [[Int]]) -> Model {
        var model = Samples.identity()
        model.operatorCodes.append(OperatorCode(.stablehloComposite))
        let leaf = model.subgraphs[0]
        model.subgraphs = callees.map { called in
            var graph = leaf
            graph.tensors += called.map { Tensor(name: "t\($0)", type: .float32, shape: [4]) }
            graph.operators += called.enumerated().map { index, callee in
                Operator(
                    opcode: 1, inputs: [0], outputs: [2 + index],
                    options: Options(.stablehloComposite, [.absent, .int(Int64(callee))]))
            }
            return graph
        }
        return model
    }

    private func message(_ model: Model) -> String {
        do throws(Failure) { try model.validate() } catch { return error.message }
        return ""
    }

    @Test func controlFlow() {
        #expect(message(calls([[1, 2], [2], []])) == "")
        #expect(message(calls([[1], [0]])).contains("leads back to itself"))
        #expect(message(calls([[1], [2], [2]])).contains("subgraph 2, which it runs, leads back to itself"))
        #expect(message(calls([[9]])).contains("operator 1 STABLEHLO_COMPOSITE: subgraph 9 is not there"))
        let chain = (1...70).map { [$0] } + [[]]
        #expect(message(calls(chain)).contains("at most 64 nested subgraphs"))
        let doubling = (1...40).map { [$0, $0] } + [[]]
        #expect(message(calls(doubling)).contains("operators were expected"))
        var narrow = calls([[1], []])
        narrow.subgraphs[1].outputs = [1, 1]
        #expect(
            message(narrow).contains("a subgraph of 1 inputs and 1 outputs was expected, found subgraph 1 with 1 and 2")
        )
    }

    @Test func valuesThatNobodyGives() throws {
        var model = Samples.identity()
        model.subgraphs[0].tensors.append(Tensor(name: "lost", type: .float32, shape: [4]))
        model.subgraphs[0].operators[0].inputs = [2]
        try model.validate()
        let failure = #expect(throws: Failure.self) { try model.validateExecutable() }
        #expect(failure?.message.contains("operator 0 RELU: its input tensor 2 \"lost\" has no data") == true)
        model.subgraphs[0].tensors[2].isVariable = true
        try model.validateExecutable()
        model.subgraphs[0].tensors[2].isVariable = false
        model.subgraphs[0].tensors[2].shape = [0]
        try model.validateExecutable()
        model.subgraphs[0].operators = []
        #expect(throws: Failure.self) { try model.validateExecutable() }
    }

    @Test func whatRealFilesHaveIsAccepted() throws {
        var model = try Samples.convolution()
        model.subgraphs[0].tensors[0].quantization?.min = [-1]
        model.subgraphs[0].operators[0].options = .none
        model.buffers[1].data = try Samples.bytes([Int8](repeating: 1, count: 100))
        model.subgraphs[0].tensors[3].type = .float32
        model.subgraphs[0].tensors[3].quantization = Quantization(scale: 0, zeroPoint: 1 << 40)
        try model.validate()
    }
}
