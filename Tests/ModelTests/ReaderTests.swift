import Testing

@testable import Model

@Suite struct ReaderTests {
    @Test(arguments: SharedModels.valid) func reads(path: String) throws {
        let model = try Model.open(path: path)
        #expect(!model.subgraphs.isEmpty)
        // This one is a part for an accelerator's compiler; LiteRT aborts on it.
        if path.hasSuffix("blockwise_scales_add_int8.tflite") {
            #expect(throws: Failure.self) { try model.validateExecutable() }
        } else {
            try model.validateExecutable()
        }
    }

    @Test(arguments: SharedModels.malformed) func malformedGivesASentence(path: String) throws {
        do throws(Failure) {
            _ = try Model.open(path: path)
            print("\(path): read")
        } catch {
            #expect(!error.message.isEmpty)
            print(error.message)
        }
    }
}
