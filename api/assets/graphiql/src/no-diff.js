// GraphiQL compares nothing, so the editor's view of differences stays out.
export class DiffEditorWidget {}
